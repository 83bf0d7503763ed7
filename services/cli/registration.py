"""Writes a new broker's record, as `POST /register` does: for an operator without HTTP."""

import os
import time

import msgspec
from msgspec import UNSET

from schemas.codec import encode
from schemas.rest import RegisterRequest, Registration
from schemas.topics import BROKERS
from services.cli.errors import RefusedError
from services.ingest.registration import RANDOM_BYTES, new_broker
from services.runtime.producer import FailFastSender
from services.runtime.settings import Settings
from services.runtime.topics import TopicsAdmin


def register_broker(settings: Settings, name: str, webhook_url: str | None) -> Registration:
    """The id and key, once the record is in the log. Raises RefusedError on a bad name or URL."""
    asked = {"name": name, "webhook_url": webhook_url}
    try:
        request = msgspec.convert(asked, RegisterRequest)
    except msgspec.ValidationError as error:
        raise RefusedError(str(error)) from error
    TopicsAdmin(settings.kafka, settings.topic_prefix).verify()
    now_ms = time.time_ns() // 1_000_000
    broker, api_key = new_broker(request, os.urandom(RANDOM_BYTES), now_ms=now_ms)
    sender = FailFastSender(settings.kafka, linger_ms=0)
    topic = settings.topic_prefix + BROKERS.name
    sender.send(topic, 0, broker.broker_id.encode(), encode(broker))
    sender.flush()
    secret = broker.webhook_secrets[0].secret if broker.webhook_secrets else UNSET
    return Registration(broker.broker_id, api_key, secret)
