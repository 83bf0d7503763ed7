"""Creates a broker from a request. Pure: randomness and time are arguments."""

import uuid

from msgspec import structs

from schemas.brokers import Broker, WebhookSecret, key_hash, webhook_secret
from schemas.rest import RegisterRequest
from services.ingest.keys import KEY_BYTES, new_key

_ID_BYTES = 16
SECRET_BYTES = 32
# Random bytes of a registration, in this order.
RANDOM_BYTES = _ID_BYTES + KEY_BYTES + SECRET_BYTES


def new_broker(request: RegisterRequest, randomness: bytes, *, now_ms: int) -> tuple[Broker, str]:
    """The broker's record and its key, which is in no record. Needs RANDOM_BYTES."""
    broker_id = str(uuid.UUID(bytes=randomness[:_ID_BYTES], version=4))
    key, secret = randomness[_ID_BYTES:-SECRET_BYTES], randomness[-SECRET_BYTES:]
    api_key = new_key(key)
    broker = Broker(
        broker_id=broker_id,
        name=request.name,
        api_key_hash=key_hash(api_key),
        created_at=now_ms,
        webhook_url=request.webhook_url,
    )
    if request.webhook_url is not None:
        secrets = (WebhookSecret(webhook_secret(secret)),)
        broker = structs.replace(broker, webhook_secrets=secrets)
    return broker, api_key
