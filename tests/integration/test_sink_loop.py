"""The sink between a real Kafka and a real PostgreSQL: handwritten outcomes become rows."""

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from confluent_kafka import Message, Producer

from conformance.api import eventually
from schemas.brokers import Broker
from schemas.codec import encode
from schemas.executions import Claim, Outcomes
from schemas.topics import BROKERS, EXECUTIONS, Topic
from services.reader.archive import Archive
from services.reader.views import Views
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.execution_filter import Batch
from services.runtime.kafka.records import record_offset
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.lifecycle import Stop
from services.sink.errors import ForeignDatabaseError
from services.sink.loop import Sink, Source
from services.sink.migrate import migrate
from services.sink.store import SILENCE_S_MAX
from tests.support.reader_flow import Flow
from tests.support.reader_outcomes import ALICE, T0, batch, cancelled, sweep
from tests.support.servers import DatabaseServer, KafkaServer

PARTITIONS = 2
DEADLINE_S = 30.0
SAMPLE = 300


class HandwrittenLog:
    """Topics with handwritten claims and outcomes, and views with the expected result."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.kafka = KafkaAccess(bootstrap)
        self.prefix = f"t{uuid.uuid4().hex[:10]}."
        self.topology = TopicsAdmin(self.kafka, self.prefix).apply(PARTITIONS, "process")
        self.views = Views()
        self._epochs: dict[int, int] = {}
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})

    def source(self) -> Source:
        return Source(self.kafka, self.topology, log_identity(self.kafka, self.prefix))

    def _write(self, topic: str, partition: int, value: bytes, key: bytes = b"") -> int:
        offsets: list[int] = []

        def written(error: object, message: Message) -> None:
            assert error is None
            offsets.append(record_offset(message))

        self._producer.produce(self.prefix + topic, value, key, partition, on_delivery=written)
        assert self._producer.flush(DEADLINE_S) == 0
        return offsets[0]

    def claim(self, partition: int) -> None:
        """Write a claim, as a new matcher does when it takes over."""
        self._epochs[partition] = self._write(EXECUTIONS.name, partition, encode(Claim("hand")))

    def append(self, entry: Batch) -> None:
        """Write one record of valid outcomes and apply it to the views."""
        if entry.partition not in self._epochs:
            self.claim(entry.partition)
        self.views.apply(entry)
        self._record(self._epochs[entry.partition], entry)

    def write_outcomes(self, entry: Batch) -> None:
        """Write a record of outcomes without applying it to the views."""
        self._record(self._epochs[entry.partition], entry)

    def write(self, value: bytes, topic: Topic = EXECUTIONS) -> None:
        """Write any value as a record of partition 0."""
        self._write(topic.name, 0, value)

    def append_stale(self, entry: Batch) -> None:
        """Write outcomes with the epoch of a superseded matcher; readers must ignore them."""
        self._record(self._epochs[entry.partition] - 1, entry)

    def _record(self, epoch: int, entry: Batch) -> None:
        record = Outcomes(epoch, entry.first_command, entry.outcomes)
        self._write(EXECUTIONS.name, entry.partition, encode(record))

    def append_broker(self, broker: Broker) -> None:
        self._write(BROKERS.name, 0, encode(broker), broker.broker_id.encode())

    def stored_commands(self, url: str) -> int:
        """Number of commands whose outcomes the database stores."""
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT sum(next_command) FROM log_positions").fetchone()
        return int(row[0] or 0) if row else 0

    def has_more_than(self, commands: int, url: str) -> bool:
        """True if the database stores the outcomes of more than this number of commands."""
        return self.stored_commands(url) > commands

    def stored_up_to(self, url: str) -> bool:
        """True if the database has reached the same positions as the views."""
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT partition, next_command FROM log_positions")
            stored = {partition: command for partition, command in rows if command}
        return stored == dict(self.views.next_commands())


class RunningSink:
    """A sink in a thread, with a separate stop signal."""

    def __init__(
        self,
        source: Source,
        url: str,
        silence_s_max: float = SILENCE_S_MAX,
        kind: type[Sink] = Sink,
    ) -> None:
        self._stop = Stop()
        self._sink = kind(source, url, self._stop, silence_s_max)
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._sink.run()
        except Exception as error:
            self.failure = error

    def is_connected(self) -> bool:
        """True if the sink reports a working connection to PostgreSQL."""
        return self._sink.postgres().ok

    def stop(self) -> float:
        """Stop the sink; return the seconds that this took."""
        start = time.monotonic()
        self._stop.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        return time.monotonic() - start

    def ended(self) -> BaseException | None:
        """Wait for the sink to end without a stop; return the exception that ended it, if any."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        return self.failure


@contextmanager
def running_sink(
    source: Source, url: str, silence_s_max: float = SILENCE_S_MAX, kind: type[Sink] = Sink
) -> Iterator[RunningSink]:
    sink = RunningSink(source, url, silence_s_max, kind)
    try:
        yield sink
    finally:
        sink.stop()
    assert sink.failure is None


def check_stored(log: HandwrittenLog, url: str, orders: int) -> None:
    """Compare every order's state with the views, and all fields and trades of a sample of orders.

    The number of rows shows that no row is stored twice.
    """
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT id::text, remaining_quantity, filled_value::bigint, closed_reason FROM orders"
        ).fetchall()
        trades = connection.execute("SELECT count(*) FROM trades").fetchone()
    records = [log.views.order(row[0]) for row in rows]
    assert len(rows) == orders == log.views.orders_in_memory()
    assert [tuple(row[1:]) for row in rows] == [
        (r.remaining_quantity, r.filled_value, r.closed_reason) for r in records if r is not None
    ]
    # Every trade has two sides, and each side is in the trades of one order.
    assert trades == (sum(len(record.trades) for record in records if record is not None) // 2,)

    async def read() -> None:
        archive = Archive(url, log.source().identity)
        await archive.open()
        try:
            for order_id, *_ in rows[:: len(rows) // SAMPLE + 1]:
                assert await archive.order(order_id) == log.views.order(order_id)
        finally:
            await archive.close()

    asyncio.run(read())


@pytest.fixture
def log(kafka: KafkaServer) -> HandwrittenLog:
    return HandwrittenLog(kafka.bootstrap_servers)


@pytest.fixture
def url(postgres: DatabaseServer) -> str:
    database_url = postgres.create_database(f"sink_{uuid.uuid4().hex[:12]}")
    migrate(database_url)
    return database_url


def test_outcomes_written_by_hand_become_rows(log: HandwrittenLog, url: str) -> None:
    log.append_broker(Broker(ALICE, "Alice \\ Co", "0" * 64, T0 + 7))
    with running_sink(log.source(), url):
        log.append(sweep())
        eventually("the sink stores the sweep", lambda: log.stored_up_to(url))
    check_stored(log, url, 6)
    with psycopg.connect(url) as connection:
        broker = connection.execute(
            "SELECT id::text, name, webhook_url, extract(epoch FROM created_at) * 1000 FROM brokers"
        ).fetchone()
        open_orders = connection.execute(
            "SELECT count(*) FROM orders WHERE status = 'open'"
        ).fetchone()
    assert broker == (ALICE, "Alice \\ Co", None, T0 + 7)
    assert open_orders == (2,)


def test_restarted_sink_continues_at_its_position(log: HandwrittenLog, url: str) -> None:
    flows = [Flow(0, 1), Flow(1, 2)]
    orders = 0
    for _ in range(3):
        with running_sink(log.source(), url):
            for flow in flows:
                log.append(flow.batch(300))
                log.claim(0)
            eventually("the sink stores the run", lambda: log.stored_up_to(url))
        orders = log.views.orders_in_memory()
    check_stored(log, url, orders)


def test_outcomes_of_a_superseded_matcher_are_not_stored(log: HandwrittenLog, url: str) -> None:
    log.append(sweep())
    log.claim(0)
    log.append_stale(batch(cancelled(2, ALICE, 100, 9), first=8))
    with running_sink(log.source(), url):
        log.append(batch(cancelled(6, ALICE, 10, 9), first=8))
        eventually("the sink stores what counts", lambda: log.stored_up_to(url))
    check_stored(log, url, 6)


def test_two_sinks_at_once_store_everything_once(log: HandwrittenLog, url: str) -> None:
    flows = [Flow(0, 3), Flow(1, 4)]
    with running_sink(log.source(), url), running_sink(log.source(), url):
        for _ in range(40):
            for flow in flows:
                log.append(flow.batch(50))
        eventually("the two sinks store the run", lambda: log.stored_up_to(url))
    check_stored(log, url, log.views.orders_in_memory())


def test_sink_catches_up_after_a_kill_of_postgres(
    log: HandwrittenLog, url: str, postgres: DatabaseServer
) -> None:
    flow = Flow(0, 5)
    with running_sink(log.source(), url):
        log.append(flow.batch(500))
        eventually("the sink stores the first run", lambda: log.stored_up_to(url))
        log.append(flow.batch(500))
        postgres.kill()
        log.append(flow.batch(500))
        postgres.start()
        eventually("the sink catches up", lambda: log.stored_up_to(url))
    check_stored(log, url, log.views.orders_in_memory())


def test_connection_lost_with_a_backlog_loses_no_row(log: HandwrittenLog, url: str) -> None:
    flow = Flow(0, 7)
    for _ in range(24):
        log.append(flow.batch(500))
    with psycopg.connect(url) as blocking:
        blocking.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with running_sink(log.source(), url):
            eventually("the sink waits for the lock", lambda: terminated_waiting(url))
            blocking.rollback()
            eventually("the sink stores everything", lambda: log.stored_up_to(url))
    check_stored(log, url, log.views.orders_in_memory())


def terminated_waiting(url: str) -> bool:
    """Terminate sessions that wait for a lock; return whether there was one."""
    with psycopg.connect(url) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return ended.fetchone() is not None


def waits_for_a_lock(url: str) -> bool:
    """True if a session of this database is waiting for a lock."""
    with psycopg.connect(url) as connection:
        waiting = connection.execute(
            "SELECT 1 FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return waiting.fetchone() is not None


def test_stop_while_postgres_is_silent_takes_about_a_second(
    log: HandwrittenLog, url: str, postgres: DatabaseServer
) -> None:
    sink = RunningSink(log.source(), url)
    log.append(sweep())
    eventually("the sink stores the sweep", lambda: log.stored_up_to(url))
    with psycopg.connect(url) as blocking:
        blocking.execute("LOCK TABLE log_positions IN ACCESS EXCLUSIVE MODE")
        log.append(batch(cancelled(2, ALICE, 100, 9), first=8))
        eventually("the sink waits for the locked table", lambda: waits_for_a_lock(url))
        assert sink.stop() < 2.0
    assert sink.failure is None
    assert not log.stored_up_to(url)


def test_database_of_another_exchange_is_refused(
    log: HandwrittenLog, url: str, kafka: KafkaServer
) -> None:
    log.append(sweep())
    with running_sink(log.source(), url):
        eventually("the sink stores the sweep", lambda: log.stored_up_to(url))
    other = HandwrittenLog(kafka.bootstrap_servers)
    failure = RunningSink(other.source(), url).ended()
    assert isinstance(failure, ForeignDatabaseError)


def test_database_ahead_of_the_log_is_refused(log: HandwrittenLog, url: str) -> None:
    log.append(sweep())
    with running_sink(log.source(), url):
        eventually("the sink stores the sweep", lambda: log.stored_up_to(url))
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE log_positions SET next_record = 99 WHERE partition = 0")
    failure = RunningSink(log.source(), url).ended()
    assert isinstance(failure, ForeignDatabaseError)


def test_missing_row_stops_the_sink_before_it_writes(log: HandwrittenLog, url: str) -> None:
    log.append(sweep())
    with running_sink(log.source(), url):
        eventually("the sink stores the sweep", lambda: log.stored_up_to(url))
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM orders WHERE remaining_quantity = 100")
    log.append(batch(cancelled(2, ALICE, 100, 9), first=8))
    failure = RunningSink(log.source(), url).ended()
    assert isinstance(failure, BrokenLogError)
    assert not log.stored_up_to(url)
