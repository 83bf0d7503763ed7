"""A whole exchange for tests: real Kafka and PostgreSQL, each service in its own process."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer

from conformance.api import Api, eventually
from infra.broker import LocalKafka
from infra.postgres import LocalPostgres
from schemas.executions import Outcome
from schemas.topics import BOOK, COMMANDS, EXECUTIONS, TRADES, Topic
from services.local.exchange import LocalExchange, running_exchange
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition, Range
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition
from services.runtime.kafka.records import record_offset
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.settings import Settings

# A busy machine answers an order with its outcome, not with 202, as a quiet one does.
OUTCOME_WAIT_MS = 10_000
# Tests send wrong keys and open calls by the hundred from one address.
SETTINGS = Settings(port=0, rate_keyless=0, outcome_wait_ms=OUTCOME_WAIT_MS)


class Exchange:
    """A running exchange for tests: addresses, brokers, topics, and each process by name."""

    def __init__(self, stack: LocalExchange) -> None:
        self.stack = stack
        self.url = stack.url
        self.admin_key = stack.admin_key
        self.bootstrap = stack.bootstrap
        self.database_url = stack.database_url
        self.topic_prefix = stack.topic_prefix
        # Tests read and write every topic.
        self.access = stack.admin
        self.partitions = TopicsAdmin(self.access, self.topic_prefix).verify().partitions
        self._symbols = (f"T{number}" for number in itertools.count(1))

    @property
    def kafka(self) -> LocalKafka:
        """The Kafka broker, to stop and start."""
        assert self.stack.servers.kafka is not None
        return self.stack.servers.kafka

    @property
    def postgres(self) -> LocalPostgres:
        """The PostgreSQL server, to stop and start."""
        assert self.stack.servers.postgres is not None
        return self.stack.servers.postgres

    def symbol(self) -> str:
        """A symbol that no other test uses."""
        return next(self._symbols)

    def admin(self) -> Api:
        """Client with the admin key."""
        return Api(self.url, self.admin_key)

    def register(self, name: str, **more: str) -> str:
        """Register a broker; return its key."""
        answer = self.admin().call("POST", "/register", {"name": name} | more)
        assert answer.status == 201, answer
        return str(answer.body["api_key"])

    def broker(self, name: str = "broker") -> Api:
        """Register a broker; return a client with its key."""
        return Api(self.url, self.register(name))

    def log_ends(self, topic: Topic = COMMANDS) -> list[int]:
        """Current end offset of each partition of a topic."""
        return [held.end for held in self._ranges(topic)]

    def _ranges(self, topic: Topic) -> list[Range]:
        consumer = LogConsumer(self.access, Fetch(10))
        try:
            name = topic.full_name(self.topic_prefix)
            return [consumer.range(Partition(name, p)) for p in range(self.partitions)]
        finally:
            consumer.close()

    def records(self, topic: Topic) -> list[bytes]:
        """Every value of the topic, partition by partition."""
        return [value for p in range(self.partitions) for value in self.values(topic, p)]

    def values(self, topic: Topic, partition: int) -> list[bytes]:
        """Every value of one partition of the topic."""
        return [value for _, value in self._held(topic, partition)]

    def _held(self, topic: Topic, partition: int) -> list[tuple[int, bytes]]:
        """Offset and value of each record; transaction markers have offsets but no record."""
        where = Partition(topic.full_name(self.topic_prefix), partition)
        consumer = LogConsumer(self.access, Fetch(10), committed=topic.transactional)
        try:
            found = consumer.read(where, *consumer.range(where))
            return [(record_offset(message), message.value() or b"") for message in found]
        finally:
            consumer.close()

    def write(self, topic: Topic, partition: int, value: bytes | None) -> int:
        """Append a record directly to the topic; return its offset."""
        offsets: list[int] = []
        producer = Producer(self.access.config())
        producer.produce(
            topic.full_name(self.topic_prefix),
            value,
            partition=partition,
            on_delivery=lambda _, message: offsets.append(record_offset(message)),
        )
        producer.flush(10)
        return offsets[0]

    def outcomes(self, partition: int) -> list[Outcome]:
        """Outcomes of the valid epochs of a partition, in command order, as services read them."""
        execution_filter = ExecutionFilter({partition: FilterPosition()}, lambda *_: None)
        found: list[Outcome] = []
        for record, value in self._held(EXECUTIONS, partition):
            batch = execution_filter.accept(partition, record, value)
            if batch is not None:
                found.extend(batch.outcomes)
        return found

    def records_of_symbol(self, symbol: str) -> list[bytes]:
        """Commands for one symbol in the command log, undecoded."""
        mark = f'"symbol":"{symbol}"'.encode()
        return [value for value in self.records(COMMANDS) if mark in value]


def wait_until_public(exchange: Exchange, symbol: str) -> None:
    """Wait until public topics have a trade and a book of the symbol: later than its outcome."""
    mark = f'"symbol":"{symbol}"'.encode()

    def public() -> bool:
        topics = (exchange.records(TRADES), exchange.records(BOOK))
        return all(any(mark in value for value in values) for values in topics)

    eventually("the trade is public", public)


@contextmanager
def fresh_exchange(data_dir: Path, settings: Settings = SETTINGS) -> Iterator[Exchange]:
    """Start an exchange; stop it at the end of the context."""
    with running_exchange(data_dir, settings) as stack:
        yield Exchange(stack)
