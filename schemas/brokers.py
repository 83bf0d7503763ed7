"""Records of the brokers topic, which keeps the last record of each key.

A broker's keys and its further webhook secrets are separate records, so that each fact has one
writer: the operator ends a key while the broker rotates its secret, and neither undoes the other.
"""

import base64
import hashlib
from typing import Annotated

from msgspec import Meta, Struct

from schemas.units import BrokerId, BrokerName, TimestampMs, WebhookUrl

Secret = Annotated[
    str,
    Meta(
        pattern=r"^whsec_[A-Za-z0-9+/]{32,88}={0,2}$(?!\n)",
        description="Standard Webhooks: base64 of 24 to 64 bytes.",
    ),
]
KeyHash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="SHA-256, hex.")]


def key_hash(api_key: str) -> str:
    """SHA-256 of a key, hex. Keys have 256 random bits, so a slow hash would add no protection."""
    return hashlib.sha256(api_key.encode()).hexdigest()


def webhook_secret(randomness: bytes) -> str:
    """A symmetric secret in the form of Standard Webhooks, from 24 to 64 random bytes."""
    return "whsec_" + base64.b64encode(randomness).decode()


class WebhookSecret(Struct, frozen=True, omit_defaults=True, gc=False):
    """A secret that signs a broker's webhooks, until `until` (None: no end is set)."""

    secret: Secret
    until: TimestampMs | None = None

    def __repr__(self) -> str:
        """Text without the secret, because records and their differences are printed."""
        return f"WebhookSecret('...', until={self.until})"


class IssuedSecret(Struct, frozen=True, tag_field="type", tag="issued_secret", gc=False):
    """A webhook secret that a broker rotated to. Written once, under its own key; never changed."""

    broker_id: BrokerId
    secret: Secret
    created_at: TimestampMs

    def __repr__(self) -> str:
        """Text without the secret."""
        return f"IssuedSecret({self.broker_id}, '...', {self.created_at})"

    @property
    def key(self) -> str:
        """The record's key: the broker, a slash, and a hash of the secret."""
        digest = hashlib.sha256(self.secret.encode()).hexdigest()
        return f"{self.broker_id}/{digest[:16]}"


class Broker(Struct, frozen=True, omit_defaults=True, gc=False):
    """A registered broker. `api_key_hash` is the SHA-256 of its key, which is not stored.

    From `revoked_at` on, no key of this broker is valid. `former_key_hash` is the key before the
    last rotation, if it remains valid: until `former_key_until`, exclusive.

    Webhook secrets are stored, because the sender signs with them. `webhook_secrets` are newest
    first; every valid one signs. In the record they are those of the registration, or of versions
    that rotated them there; `BrokerRecords` adds those issued since.
    """

    broker_id: BrokerId
    name: BrokerName
    api_key_hash: KeyHash
    created_at: TimestampMs
    webhook_url: WebhookUrl | None = None
    webhook_secrets: tuple[WebhookSecret, ...] = ()
    revoked_at: TimestampMs | None = None
    former_key_hash: KeyHash | None = None
    former_key_until: TimestampMs | None = None
