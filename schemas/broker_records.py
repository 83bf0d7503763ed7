"""The brokers as the records of their topic describe them, applied in log order. Pure."""

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from schemas.brokers import Broker, IssuedSecret, WebhookSecret
from schemas.codec import decode_broker_record

# Validity of the secret before the newest: time to bring the new one to every receiver.
FORMER_SECRET_MS: Final = 24 * 60 * 60 * 1000
# The newest secret and the one before it count.
_SECRETS_COUNT: Final = 2


class BrokerRecords:
    """Brokers by id. Also gives the right result for a topic that was compacted."""

    def __init__(self) -> None:
        self._brokers: dict[str, Broker] = {}
        # By broker and record key, in log order.
        self._issued: dict[str, dict[str, IssuedSecret]] = {}

    def __len__(self) -> int:
        return len(self._brokers)

    def __iter__(self) -> Iterator[Broker]:
        """Every broker, in the order of their latest records."""
        return (self._with_secrets(broker) for broker in self._brokers.values())

    def apply(self, key: bytes | None, value: bytes | None) -> str:
        """Apply one record; return the id of its broker. Raises UnreadableError."""
        name = (key or b"").decode(errors="replace")
        broker_id, _, secret = name.partition("/")
        if value is None:
            if secret:
                self._issued.get(broker_id, {}).pop(name, None)
            else:
                # Its secrets stay: compaction keeps their records too.
                self._brokers.pop(broker_id, None)
            return broker_id
        record = decode_broker_record(value)
        if isinstance(record, IssuedSecret):
            issued = self._issued.setdefault(record.broker_id, {})
            issued.pop(record.key, None)
            issued[record.key] = record
        else:
            self._brokers.pop(record.broker_id, None)
            self._brokers[record.broker_id] = record
        return record.broker_id

    def get(self, broker_id: str) -> Broker | None:
        """The broker with the secrets that count; None if unknown or deleted."""
        broker = self._brokers.get(broker_id)
        return None if broker is None else self._with_secrets(broker)

    def ended_secrets(self, broker_id: str) -> list[str]:
        """Keys of the records whose secrets no longer count, so that they can be deleted."""
        return list(self._issued.get(broker_id, ()))[:-_SECRETS_COUNT]

    def _with_secrets(self, broker: Broker) -> Broker:
        issued = list(self._issued.get(broker.broker_id, {}).values())[-_SECRETS_COUNT:]
        if not issued:
            return broker
        newest, former = issued[-1], [known.secret for known in broker.webhook_secrets[:1]]
        former = [known.secret for known in issued[:-1]] or former
        secrets = (
            WebhookSecret(newest.secret),
            *(WebhookSecret(secret, newest.created_at + FORMER_SECRET_MS) for secret in former),
        )
        return structs.replace(broker, webhook_secrets=secrets)
