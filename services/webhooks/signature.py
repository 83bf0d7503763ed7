"""Standard Webhooks signatures: headers that prove the sender and the time of a body. Pure."""

import base64
import hashlib
import hmac
from collections.abc import Iterable

from schemas.brokers import WebhookSecret

_PREFIX = "whsec_"


def valid_secrets(secrets: Iterable[WebhookSecret], now_ms: int) -> list[str]:
    """The secrets that are valid now, newest first."""
    return [known.secret for known in secrets if known.until is None or now_ms < known.until]


def signed_headers(
    webhook_id: str, timestamp_s: int, body: bytes, secrets: Iterable[str]
) -> dict[str, str]:
    """Headers for exactly these bytes, with one signature per secret, so that a receiver with any
    of them accepts it."""
    signatures = " ".join(_signature(webhook_id, timestamp_s, body, secret) for secret in secrets)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signatures,
    }


def _signature(webhook_id: str, timestamp_s: int, body: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    content = f"{webhook_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
