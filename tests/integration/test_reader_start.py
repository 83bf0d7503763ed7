"""A reader started from PostgreSQL has the same views as one that reads all executions."""

import asyncio
import time
import uuid
from functools import cache, partial

import psycopg
import pytest
from msgspec import Struct

from conformance.api import eventually
from schemas.executions import OrderAccepted, Outcome
from schemas.orders import OrderRecord
from schemas.tables import SCHEMA_VERSION
from services.api.brokers import BrokerDirectory
from services.api.partition_map import PartitionMap
from services.reader.app import Reader
from services.reader.archive import Archive
from services.reader.bootstrap import ViewBootstrap
from services.reader.command_log import CommandLog
from services.reader.database_views import StoredViews
from services.reader.errors import ArchiveUnavailableError
from services.reader.views import Views
from services.runtime.kafka.consumer import Fetch, LogConsumer
from services.runtime.kafka.dispatcher import TopicDispatcher
from services.sink.migrate import migrate
from tests.integration.test_sink_loop import (
    HandwrittenLog,
    running_sink,
)
from tests.support.market import batches, outcomes
from tests.support.reader_flow import Flow
from tests.support.servers import DatabaseServer, KafkaServer
from tests.support.view_comparison import (
    answers,
    known_brokers,
    known_symbols,
    open_orders,
    state,
)

PARTITIONS = 2
NO_SERVER = "postgresql://127.0.0.1:1/nothing"
# Puts a second claim both into the stored part of the log and into the part after it.
CLAIM_EVERY = 20
CAUGHT_UP_WITHIN_S = 60.0


@cache
def market(partition: int) -> list[Outcome]:
    return list(outcomes(partition, seed=20 + partition))


class StartedReader(Struct):
    """A reader that has caught up: its views, their source, and its answer for each order id."""

    views: Views
    detail: str
    orders: list[object]


async def start_reader(
    log: HandwrittenLog, url: str, order_ids: list[str], silence_s_max: float = 10.0
) -> StartedReader:
    """Start a reader like the service does, query it and stop it. Raises its fatal error."""
    identity = log.source().identity
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    archive = Archive(url, identity)
    await archive.open()
    directory = BrokerDirectory("an admin key that is long")
    commands = CommandLog(log.kafka, log.topology)
    dispatcher = TopicDispatcher(
        LogConsumer(log.kafka, Fetch(4)),
        log.topology,
        on_broker=directory.apply,
        on_listing=PartitionMap(log.topology.partitions).apply,
        failed=failed.set_exception,
    )
    reader = Reader(Views(), archive, directory, dispatcher.caught_up, commands.end)
    dispatcher.subscribe(on_batch=reader.apply)
    start = ViewBootstrap(
        partial(StoredViews, url, identity, silence_s_max),
        dispatcher,
        reader,
        failed.set_exception,
    )
    assert not start.check().ok
    starting = asyncio.create_task(start.run())
    caught_up = asyncio.create_task(dispatcher.wait_caught_up())
    try:
        await asyncio.wait(
            [caught_up, failed], timeout=CAUGHT_UP_WITHIN_S, return_when="FIRST_COMPLETED"
        )
        if failed.done():
            await failed
        assert dispatcher.caught_up()
        check = start.check()
        assert check.ok
        found = [await find(reader, order_id) for order_id in order_ids]
        return StartedReader(reader._views, check.detail, list(found))
    finally:
        starting.cancel()
        caught_up.cancel()
        await asyncio.to_thread(dispatcher.stop)
        await archive.close()


async def find(reader: Reader, order_id: str) -> OrderRecord | None:
    """Look an order up, again after a 503: PostgreSQL may be slow beside other tests."""
    deadline = time.monotonic() + CAUGHT_UP_WITHIN_S
    while True:
        try:
            return await reader._find(order_id)
        except ArchiveUnavailableError:
            if time.monotonic() > deadline:
                raise


def started(
    log: HandwrittenLog, url: str, order_ids: list[str] | None = None, silence_s_max: float = 10.0
) -> StartedReader:
    return asyncio.run(start_reader(log, url, order_ids or [], silence_s_max))


def append_market(log: HandwrittenLog, partition: int, start: int, end: int) -> None:
    """Write the market's outcomes of these commands, with a claim after every few batches."""
    written = batches(partition, market(partition)[start:end], start)
    for number, batch in enumerate(written):
        if number % CLAIM_EVERY == CLAIM_EVERY - 1:
            log.claim(partition)
        log.append(batch)


def stop_between(log: HandwrittenLog, url: str, cuts: tuple[float, ...]) -> None:
    """Write the whole market, of which the database stores each partition up to its cut."""
    ends = [int(len(market(partition)) * cut) for partition, cut in enumerate(cuts)]
    for partition, end in enumerate(ends):
        append_market(log, partition, 0, end)
    with running_sink(log.source(), url):
        eventually("the sink stores the first part", lambda: log.stored_up_to(url))
    for partition, end in enumerate(ends):
        append_market(log, partition, end, len(market(partition)))


@pytest.fixture
def log(kafka: KafkaServer) -> HandwrittenLog:
    return HandwrittenLog(kafka.bootstrap_servers)


@pytest.fixture
def url(postgres: DatabaseServer) -> str:
    database_url = postgres.create_database(f"start_{uuid.uuid4().hex[:12]}")
    migrate(database_url)
    return database_url


def order_ids_of(partition: int) -> list[str]:
    events = (outcome.event for outcome in market(partition))
    return [event.order_id for event in events if isinstance(event, OrderAccepted)]


@pytest.mark.parametrize(
    "cuts",
    [
        pytest.param((0.5, 0.7), id="amid both"),
        pytest.param((0.6, 0.0), id="nothing stored of one"),
        pytest.param((1.0, 0.1), id="all stored of one"),
        pytest.param((1.0, 1.0), id="all stored"),
    ],
)
def test_views_from_postgres_and_newer_records_equal_those_from_the_log_alone(
    log: HandwrittenLog, url: str, cuts: tuple[float, ...]
) -> None:
    stop_between(log, url, cuts)
    order_ids = [*order_ids_of(0)[::5], *order_ids_of(1)[::5]]
    without_database = started(log, NO_SERVER, order_ids)
    stored = started(log, url, order_ids)
    assert without_database.detail.startswith(
        "from the executions topic alone: PostgreSQL does not return them"
    )
    assert stored.detail == "from PostgreSQL"
    # 1. Results for clients. Closed orders come from memory in one case, from PostgreSQL in the
    # other.
    symbols, brokers = known_symbols(without_database.views), known_brokers(without_database.views)
    assert (len(symbols), len(brokers)) == (8, 8)
    assert answers(stored.views, symbols, brokers) == answers(
        without_database.views, symbols, brokers
    )
    assert None not in without_database.orders
    assert stored.orders == without_database.orders
    # 2. Internal state, after both discarded what the database contained at the start.
    with psycopg.connect(url) as connection:
        for number, command in connection.execute(
            "SELECT partition, next_command FROM log_positions"
        ):
            while without_database.views.forget_stored(number, command):
                pass
            assert not stored.views.forget_stored(number, command)
    assert state(stored.views) == state(without_database.views)
    assert len(open_orders(stored.views)) > 100


def test_closed_order_is_answered_between_load_and_forget(log: HandwrittenLog, url: str) -> None:
    stop_between(log, url, (0.5, 0.5))
    order_ids = [*order_ids_of(0)[::10], *order_ids_of(1)[::10]]
    stored = started(log, url, order_ids)
    closed_since = set(stored.views._orders._records) - open_orders(stored.views).keys()
    # PostgreSQL has these as open or not at all: memory must keep them until they are stored.
    assert len(closed_since & set(order_ids)) > 100
    assert len(set(order_ids) - set(stored.views._orders._records)) > 100
    assert stored.orders == [log.views.order(order_id) for order_id in order_ids]


def change(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        assert connection.execute(statement.encode()).rowcount > 0


def test_own_events_of_an_older_database_are_counted_from_the_log(
    log: HandwrittenLog, url: str
) -> None:
    stop_between(log, url, (0.5, 0.9))
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM broker_events WHERE partition = 0")
        connection.execute("UPDATE broker_events SET events = 7")
        connection.execute("UPDATE log_positions SET events_from = next_command")
    with running_sink(log.source(), url):
        eventually("the sink stores the rest", lambda: log.stored_up_to(url))
    found = started(log, url)
    assert found.detail == "from PostgreSQL"
    assert state(found.views)["own_events"] == state(log.views)["own_events"]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE log_identity SET topic_id = 'another'", "was not filled from this log"),
        ("DELETE FROM log_identity", "was not filled from this log"),
        (
            "UPDATE schema_migrations SET version = version + 1"
            " WHERE version = (SELECT max(version) FROM schema_migrations)",
            f"has tables of version {SCHEMA_VERSION + 1}, not {SCHEMA_VERSION}",
        ),
        (
            "DELETE FROM schema_migrations"
            " WHERE version = (SELECT max(version) FROM schema_migrations)",
            f"has tables of version {SCHEMA_VERSION - 1}, not {SCHEMA_VERSION}",
        ),
        ("UPDATE log_positions SET next_record = 999999 WHERE partition = 1", "999999"),
        (
            "INSERT INTO log_positions VALUES (7, 1, 1, 0, now(), 0)",
            "has a position of partition 7, which the executions topic lacks",
        ),
        ("UPDATE log_positions SET summed_from = 1 WHERE partition = 0", "before it stored sums"),
        (
            "UPDATE log_positions SET events_from = 1 WHERE partition = 0",
            "has not counted own events yet",
        ),
        ("UPDATE log_positions SET next_command = 0", "is empty"),
        ("DELETE FROM symbols", "contradicts itself"),
        ("UPDATE orders SET price = NULL, order_type = 'market'", "contradicts itself"),
        ("ALTER TABLE balances RENAME TO sums", 'relation "balances" does not exist'),
    ],
)
def test_unusable_database_is_ignored_at_the_start(
    log: HandwrittenLog, url: str, statement: str, reason: str
) -> None:
    for partition in range(PARTITIONS):
        log.append(Flow(partition, partition).batch(100))
    with running_sink(log.source(), url):
        eventually("the sink stores the flow", lambda: log.stored_up_to(url))
    assert started(log, url).detail == "from PostgreSQL"
    if statement.startswith("ALTER"):
        with psycopg.connect(url) as connection:
            connection.execute(statement.encode())
    else:
        change(url, statement)
    found = started(log, url)
    assert found.detail.startswith("from the executions topic alone: PostgreSQL ")
    assert reason in found.detail
    assert state(found.views) == state(log.views)
