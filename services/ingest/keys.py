"""Life of a broker's key: created, replaced, revoked. Pure: randomness and time are arguments."""

import base64

from msgspec import structs

from schemas.brokers import Broker, key_hash

KEY_BYTES = 32
_KEY_PREFIX = "ex_"


def new_key(randomness: bytes) -> str:
    """A key from KEY_BYTES of randomness."""
    return _KEY_PREFIX + base64.urlsafe_b64encode(randomness).decode().rstrip("=")


def rotated(broker: Broker, api_key: str, *, now_ms: int, keep_former_ms: int) -> Broker:
    """The broker with a new key, even after a revocation. A key before the present one ends now;
    the present one ends `keep_former_ms` later, if it was valid."""
    keep = keep_former_ms > 0 and broker.revoked_at is None
    return structs.replace(
        broker,
        api_key_hash=key_hash(api_key),
        revoked_at=None,
        former_key_hash=broker.api_key_hash if keep else None,
        former_key_until=now_ms + keep_former_ms if keep else None,
    )


def revoked(broker: Broker, *, now_ms: int) -> Broker:
    """The broker without a valid key. Repeating it changes nothing."""
    if broker.revoked_at is not None:
        return broker
    return structs.replace(broker, revoked_at=now_ms, former_key_hash=None, former_key_until=None)
