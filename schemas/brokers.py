"""A broker as the exchange knows it. The compacted topic keeps the last record of each."""

import base64
import hashlib
from typing import Annotated

from msgspec import Meta, Struct

from schemas.units import BrokerId, BrokerName, TimestampMs

Secret = Annotated[
    str,
    Meta(
        pattern=r"^whsec_[A-Za-z0-9+/]{32,88}={0,2}$(?!\n)",
        description="Standard Webhooks: base64 of 24 to 64 bytes.",
    ),
]
KeyHash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="SHA-256, hex.")]


def key_hash(api_key: str) -> str:
    """SHA-256 of a key, hex. Keys carry 256 random bits, so a slow hash would defend nothing."""
    return hashlib.sha256(api_key.encode()).hexdigest()


def webhook_secret(randomness: bytes) -> str:
    """As Standard Webhooks writes a symmetric secret. Needs 24 to 64 bytes."""
    return "whsec_" + base64.b64encode(randomness).decode()


class WebhookSecret(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a broker's webhooks are signed with, before `until` (None: until further notice)."""

    secret: Secret
    until: TimestampMs | None = None

    def __repr__(self) -> str:
        """Never the secret: records and differences of records get printed."""
        return f"WebhookSecret('...', until={self.until})"


class Broker(Struct, frozen=True, omit_defaults=True, gc=False):
    """`api_key_hash` is the SHA-256 of the key; the key itself is shown once and kept nowhere.

    From `revoked_at` on no key of this broker counts. `former_key_hash` is the key before the last
    rotation where it was left valid for a while: before `former_key_until`, and not from then on.

    A webhook's secret must be kept, since its sender signs with it. `webhook_secrets`: newest
    first; all that are valid sign.
    """

    broker_id: BrokerId
    name: BrokerName
    api_key_hash: KeyHash
    created_at: TimestampMs
    webhook_url: str | None = None
    webhook_secrets: tuple[WebhookSecret, ...] = ()
    revoked_at: TimestampMs | None = None
    former_key_hash: KeyHash | None = None
    former_key_until: TimestampMs | None = None
