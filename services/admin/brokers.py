"""Writes brokers' records for an operator: registration as by `POST /register`, revocation,
rotation.

Only operators write the record with a broker's keys, after its registration. If two of them change
one broker at the same moment, the later record counts, and the other command reports it.
"""

import os

import msgspec
from msgspec import UNSET

from schemas.brokers import Broker
from schemas.codec import UnreadableError, decode_broker, encode
from schemas.rest import RegisterRequest, Registration
from schemas.topics import BROKERS
from services.api.messages import ProblemError
from services.ingest.admission import admit_registration
from services.ingest.keys import KEY_BYTES, new_key, revoked, rotated
from services.ingest.registration import RANDOM_BYTES, new_broker
from services.runtime.clock import now_ms
from services.runtime.errors import RefusedError, SettingsError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.compacted import last_records
from services.runtime.kafka.producer import FailFastSender
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.settings import Settings


def register_broker(settings: Settings, name: str, webhook_url: str | None) -> Registration:
    """Register a broker by the rules of `POST /register`; returns id and key once it is written.

    Raises RefusedError, and SettingsError for text that is not UTF-8.
    """
    request = _admitted({"name": name, "webhook_url": webhook_url})
    TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify()
    broker, api_key = new_broker(request, os.urandom(RANDOM_BYTES), now_ms=now_ms())
    _write(settings, broker)
    secret = broker.webhook_secrets[0].secret if broker.webhook_secrets else UNSET
    return Registration(broker.broker_id, api_key, secret)


def _admitted(fields: dict[str, str | None]) -> RegisterRequest:
    try:
        body = msgspec.json.encode(fields)
    except UnicodeEncodeError:
        raise SettingsError("name and webhook URL must be UTF-8: use a UTF-8 terminal") from None
    try:
        return admit_registration(body)
    except ProblemError as problem:
        faults = [f"{fault.pointer.lstrip('/')}: {fault.detail}" for fault in problem.errors or ()]
        raise RefusedError("; ".join(faults) or problem.detail) from problem


def revoke_broker(settings: Settings, broker_id: str) -> Broker:
    """End all keys of a broker; returns it once the record is written. Raises RefusedError."""
    broker = revoked(_find(settings, broker_id), now_ms=now_ms())
    _write(settings, broker)
    _require_written(settings, broker)
    return broker


def rotate_key(settings: Settings, broker_id: str, keep_former_s: int) -> str:
    """Give a broker a new key; returns the key once its hash is written. Raises RefusedError."""
    api_key = new_key(os.urandom(KEY_BYTES))
    former = _find(settings, broker_id)
    keep_former_ms = keep_former_s * 1_000
    changed = rotated(former, api_key, now_ms=now_ms(), keep_former_ms=keep_former_ms)
    _write(settings, changed)
    _require_written(settings, changed)
    return api_key


def _require_written(settings: Settings, broker: Broker) -> None:
    # Another operator's command may have read the record before this one and written it after.
    if _find(settings, broker.broker_id) != broker:
        raise RefusedError(
            f"another change of broker {broker.broker_id} was written at the same moment and "
            "replaces this one; repeat the command"
        )


def _find(settings: Settings, broker_id: str) -> Broker:
    TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify()
    value = last_records(settings, BROKERS).get(broker_id)
    if value is None:
        raise RefusedError(f"no broker {broker_id}; `exchange broker list` shows them all")
    try:
        # The broker's own record, without the secrets that were issued since: only the gateway
        # writes those.
        return decode_broker(value)
    except UnreadableError as error:
        raise RefusedError(f"the record of broker {broker_id} is unreadable: {error}") from error


def _write(settings: Settings, broker: Broker) -> None:
    sender = FailFastSender(kafka_access(settings), linger_ms=0)
    topic = BROKERS.full_name(settings.topic_prefix)
    sender.send(topic, 0, broker.broker_id.encode(), encode(broker))
    sender.flush()
