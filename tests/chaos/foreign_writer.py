"""A program that is not part of the exchange and writes on its topics: records of the exchange once
more, records that no service can read, and transactions.

Each record has a header, because the audit rightly reports whatever a foreign program leaves on the
public topics: as many differences as there are such records are right.
"""

import itertools
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final, NamedTuple

from confluent_kafka import KafkaException, Message, Producer

from schemas.topics import (
    BOOK,
    BROKERS,
    COMMANDS,
    EXECUTIONS,
    LISTINGS,
    SNAPSHOTS,
    TRADES,
    Topic,
)
from services.local.exchange import LocalExchange
from services.runtime.errors import ExchangeError
from services.runtime.kafka.client_config import KafkaAccess, kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from tests.chaos.plan import TopicFault

_UNREADABLE: Final = (None, b"", b"{", b"{}", b"null", b"\xff\x00")
# Not book updates: a book rebuilt from them is wrong once an old one is applied again.
_REPEATED: Final = (COMMANDS, EXECUTIONS, BROKERS, TRADES)
_DISTURBED: Final = (*_REPEATED, BOOK, LISTINGS, SNAPSHOTS)
_HEADERS: Final[list[tuple[str, str | bytes | None]]] = [("written-by", b"foreign")]
# Records at the end of a partition to choose from, and records per round.
_NEWEST: Final = 200
_ROUND: Final = 5
_ROUND_S: Final = 0.1
_TIMEOUT_S: Final = 5.0
# Kafka aborts what a killed writer left open.
_TRANSACTION_MS: Final = 10_000


def is_foreign(message: Message) -> bool:
    """True for a record that this program wrote."""
    return message.headers() == _HEADERS


class _Record(NamedTuple):
    where: Partition
    key: bytes | None
    value: bytes | None


class ForeignWriter:
    """Writes until `wait(seconds)` has waited for `hold_s` seconds. Errors of Kafka end a round."""

    def __init__(self, stack: LocalExchange, seed: int, wait: Callable[[float], None]) -> None:
        self._kafka: KafkaAccess = kafka_access(stack.operator)
        self._prefix = stack.settings.topic_prefix
        self._partitions = stack.settings.partitions
        self._random = random.Random(seed)
        self._wait = wait

    def disturb(self, kind: TopicFault, hold_s: float) -> None:
        """Write records of this kind."""
        rounds = max(1, round(hold_s / _ROUND_S))
        if kind == "transactions":
            self._transactions(hold_s)
            return
        producer = Producer(self._kafka.config())
        for _ in range(rounds):
            if kind == "repeat_records":
                self._send(producer, self._again())
            else:
                self._send(producer, self._unreadable(self._random.choice(_DISTURBED)))
            self._wait(_ROUND_S)

    def _transactions(self, hold_s: float) -> None:
        for end in ("commit", "abort", "open"):
            name = {"transactional.id": f"foreign-{uuid.uuid4().hex[:8]}"}
            timeout = {"transaction.timeout.ms": _TRANSACTION_MS}
            producer = Producer(self._kafka.config() | name | timeout)
            try:
                producer.init_transactions(_TIMEOUT_S)
                producer.begin_transaction()
                unreadable = itertools.chain(*map(self._unreadable, _DISTURBED))
                self._send(producer, [*self._again(), *unreadable])
                if end == "open":
                    self._wait(hold_s)
                if end == "commit":
                    producer.commit_transaction(_TIMEOUT_S)
                else:
                    producer.abort_transaction(_TIMEOUT_S)
            except KafkaException:
                # Kafka is disturbed as well, and ends the transaction by itself.
                continue

    def _send(self, producer: Producer, records: list[_Record]) -> None:
        for record in records:
            where = record.where
            producer.produce(where.topic, record.value, record.key, where.number, headers=_HEADERS)
        producer.flush(_TIMEOUT_S)

    def _again(self) -> list[_Record]:
        """Newest records of a partition, some of them. Of a broker, the newest only."""
        topic = self._random.choice(_REPEATED)
        where = self._partition(topic)
        # A trade that is not committed may yet be published, and then this one is not a repeat.
        consumer = LogConsumer(self._kafka, Fetch(wait_ms=10), committed=topic.transactional)
        try:
            with closing(consumer):
                records = list(_newest(consumer, where))
        except (ExchangeError, KafkaException):
            return []
        if topic is EXECUTIONS:
            # A repeated claim would supersede the matcher.
            records = [record for record in records if b'"claim' not in (record.value or b"")[:20]]
        if topic is BROKERS:
            records = list({record.key: record for record in records}.values())
        return self._random.sample(records, min(_ROUND, len(records)))

    def _unreadable(self, topic: Topic) -> list[_Record]:
        where = self._partition(topic)
        return [_Record(where, b"foreign", self._random.choice(_UNREADABLE)) for _ in range(_ROUND)]

    def _partition(self, topic: Topic) -> Partition:
        number = self._random.randrange(self._partitions) if topic.by_symbol else 0
        return Partition(topic.full_name(self._prefix), number)


def _newest(consumer: LogConsumer, where: Partition) -> Iterator[_Record]:
    held = consumer.range(where)
    for message in consumer.read(where, max(held.low, held.end - _NEWEST), held.end):
        yield _Record(where, message.key(), message.value())
