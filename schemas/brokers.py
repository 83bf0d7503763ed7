"""A broker as the exchange knows it. The compacted topic keeps the last record of each."""

import hashlib
from typing import Annotated

from msgspec import Meta, Struct

from schemas.units import BrokerId, BrokerName, TimestampMs

KeyHash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="SHA-256, hex.")]


def key_hash(api_key: str) -> str:
    """SHA-256 of a key, hex. Keys carry 256 random bits, so a slow hash would defend nothing."""
    return hashlib.sha256(api_key.encode()).hexdigest()


class Broker(Struct, frozen=True, omit_defaults=True, gc=False):
    """`api_key_hash` is the SHA-256 of the key; the key itself is shown once and kept nowhere.

    From `revoked_at` on no key of this broker counts. `former_key_hash` is the key before the last
    rotation where it was left valid for a while: before `former_key_until`, and not from then on.
    """

    broker_id: BrokerId
    name: BrokerName
    api_key_hash: KeyHash
    created_at: TimestampMs
    webhook_url: str | None = None
    revoked_at: TimestampMs | None = None
    former_key_hash: KeyHash | None = None
    former_key_until: TimestampMs | None = None
