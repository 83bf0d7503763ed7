"""A new broker from a request. Pure given the randomness and the time."""

import uuid

from schemas.brokers import Broker, key_hash
from schemas.rest import RegisterRequest
from services.ingest.keys import KEY_BYTES, new_key

ID_BYTES = 16


def new_broker(request: RegisterRequest, randomness: bytes, *, now_ms: int) -> tuple[Broker, str]:
    """The broker's record and its key, which is in no record. Needs ID_BYTES + KEY_BYTES."""
    broker_id = str(uuid.UUID(bytes=randomness[:ID_BYTES], version=4))
    api_key = new_key(randomness[ID_BYTES : ID_BYTES + KEY_BYTES])
    broker = Broker(
        broker_id=broker_id,
        name=request.name,
        api_key_hash=key_hash(api_key),
        created_at=now_ms,
        webhook_url=request.webhook_url,
    )
    return broker, api_key
