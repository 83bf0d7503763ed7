"""Readiness of the sender's loop: the age of its last claim, not the connection alone."""

import time

import pytest

from services.webhooks.loop import CLAIM_AGE_S_MAX, TURN_S, WebhookLoop
from services.webhooks.receiver_run import SendPolicy
from services.webhooks.schedule import SECONDS, ReceiverResponse


async def post(url: str, headers: dict[str, str], body: bytes) -> ReceiverResponse:
    raise AssertionError(f"nothing is sent: {url}, {headers}, {body!r}")


def test_loop_is_ready_while_its_last_claim_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = WebhookLoop("postgresql:///none", post, SendPolicy(SECONDS, 1, TURN_S))
    assert not loop.claiming().ok
    loop._claimed_at = now = time.monotonic()
    assert loop.claiming().ok
    monkeypatch.setattr(time, "monotonic", lambda: now + CLAIM_AGE_S_MAX + 1)
    assert not loop.claiming().ok
    assert loop.claiming().detail == f"last claim {CLAIM_AGE_S_MAX + 1:.1f} s ago"
