"""Webhook signatures, verified with the library that receivers use."""

import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from schemas.brokers import WebhookSecret, webhook_secret
from services.webhooks.signature import signed_headers, valid_secrets

BODY = '{"event":"test","name":"São Paulo"}'.encode()
OLD, NEW = webhook_secret(b"o" * 24), webhook_secret(b"n" * 32)


def headers(*secrets: str) -> dict[str, str]:
    return signed_headers("an-id-bid", int(time.time()), BODY, secrets)


def test_signature_is_accepted_by_the_receivers_library() -> None:
    assert Webhook(NEW).verify(BODY, headers(NEW)) == {"event": "test", "name": "São Paulo"}


def test_signature_equals_that_of_the_librarys_signer() -> None:
    at = datetime.fromtimestamp(1_800_000_000, tz=UTC)
    made = signed_headers("an-id-bid", 1_800_000_000, BODY, [NEW])
    assert made["webhook-signature"] == Webhook(NEW).sign("an-id-bid", at, BODY.decode())
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, headers(NEW))


def test_two_secrets_are_both_accepted() -> None:
    both = headers(NEW, OLD)
    assert both["webhook-signature"].count("v1,") == 2
    for secret in (NEW, OLD):
        Webhook(secret).verify(BODY, both)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "another-id-bid"},
        {"webhook-timestamp": str(int(time.time()) - 5)},
        {"webhook-signature": "v1,AAAA"},
    ],
)
def test_changed_header_is_not_accepted(change: dict[str, str]) -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY, headers(NEW) | change)


def test_changed_body_is_not_accepted() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY + b" ", headers(NEW))


def test_former_secret_signs_until_its_end_only() -> None:
    known = (WebhookSecret(NEW), WebhookSecret(OLD, until=1_000))
    assert valid_secrets(known, 999) == [NEW, OLD]
    assert valid_secrets(known, 1_000) == [NEW]
