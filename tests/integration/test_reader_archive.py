"""The archive while PostgreSQL is unavailable: bounded waits, few messages, and recovery."""

import asyncio
import time

import psycopg
import pytest

from schemas import ids
from services.reader.archive import _TRADES, Archive
from services.reader.errors import ArchiveUnavailableError
from services.reader.list_archive import ListArchive
from services.reader.overlay import Span
from services.runtime.kafka.execution_filter import FilterPosition
from services.runtime.kafka.topic_identity import LogIdentity
from services.runtime.postgres.pool import ANSWER_TIMEOUT_S
from services.sink.migrate import migrate
from services.sink.rows import Rows
from services.sink.store import Move, Store
from tests.support.query_plans import read_by
from tests.support.reader_outcomes import ALICE, T0, much_traded, oid, sweep
from tests.support.servers import DatabaseServer

BACK_WITHIN_S = 10.0
OWN_LOG = LogIdentity("cluster", "exchange.executions.v1", "topic-id")


@pytest.fixture(scope="module")
def database(postgres: DatabaseServer) -> str:
    url = postgres.create_database("archive")
    migrate(url)
    return url


def stored_sweep(url: str) -> None:
    store = Store(url)
    store.bind(OWN_LOG)
    if store.positions(1)[0].next_command == 0:
        rows = Rows()
        rows.add(sweep())
        store.write(rows, {0: Move(0, FilterPosition(1, 0, 8))})
    store.close()


def test_archive_reads_the_newest_trades_and_pages_of_older_ones(
    postgres: DatabaseServer,
) -> None:
    url = postgres.create_database("archive_pages")
    migrate(url)
    store = Store(url)
    store.bind(OWN_LOG)
    store.positions(1)
    rows = Rows()
    rows.add(much_traded(250))
    store.write(rows, {0: Move(0, FilterPosition(1, 0, 251))})
    store.close()
    every = [ids.trade_id(T0, 0, 1 + number, 1) for number in range(250)]

    async def check() -> None:
        archive = Archive(url, OWN_LOG)
        await archive.open()
        order = await archive.order(oid(1))
        assert order is not None
        assert [trade.trade_id for trade in order.trades] == every[-100:]
        assert order.older_trades == 150
        one = await archive.order(oid(2))
        assert one is not None
        assert ([trade.trade_id for trade in one.trades], one.older_trades) == (every[:1], 0)
        stored = await ListArchive(archive).orders(ALICE, None, Span(None, None, True, 500))
        assert {order.order_id: order.trades_count for order in stored.orders}[oid(1)] == 250
        page = await archive.trades(oid(1), every[150], 60)
        assert [trade.trade_id for trade in page] == every[90:150][::-1]
        assert await archive.trades(oid(1), every[0], 60) == []
        await archive.close()

    asyncio.run(check())
    with psycopg.connect(url) as connection:
        # As an earlier version of the sink stored them.
        connection.execute("UPDATE orders SET trades_count = NULL")
    asyncio.run(check())


def test_page_of_trades_reads_only_its_rows(postgres: DatabaseServer) -> None:
    url = postgres.create_database("archive_plans")
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        # Every second trade is of the one order.
        connection.execute(
            "INSERT INTO trades SELECT lpad(to_hex(n), 32, '0')::uuid,"
            " lpad(to_hex(n), 32, '1')::uuid, CASE WHEN n %% 2 = 0 THEN %s::uuid"
            " ELSE lpad(to_hex(n), 32, '2')::uuid END, gen_random_uuid(), gen_random_uuid(),"
            " 'A', 1, 1, 'bid', n, now(), 0, n, 0 FROM generate_series(1, 40000) n",
            [oid(1)],
        )
        # As autovacuum does soon after so many rows.
        connection.execute("VACUUM ANALYZE trades")
        asked = {"order_id": oid(1), "before": f"{30_000:032x}", "limit": 100}
        read = read_by(connection, _TRADES, asked)
    assert not read.scanned, read
    assert read.rows <= 200, read


async def refused(archive: Archive) -> float:
    """Seconds until the archive refuses a query."""
    start = time.monotonic()
    with pytest.raises(ArchiveUnavailableError):
        await archive.order(oid(1))
    return time.monotonic() - start


def test_archive_without_a_server_refuses_in_bounded_time() -> None:
    async def check() -> None:
        archive = Archive("postgresql://127.0.0.1:1/nothing", OWN_LOG)
        await archive.open()
        for _ in range(3):
            assert await refused(archive) < ANSWER_TIMEOUT_S + 0.5
        with pytest.raises(ArchiveUnavailableError):
            await archive.positions()
        await archive.close()

    asyncio.run(check())


def test_archive_recovers_after_its_server_was_killed(
    database: str, postgres: DatabaseServer
) -> None:
    stored_sweep(database)

    async def check() -> None:
        archive = Archive(database, OWN_LOG)
        await archive.open()
        before = await archive.order(oid(3))
        assert before is not None
        assert await archive.positions() == {0: 8}
        postgres.kill()
        for _ in range(3):
            assert await refused(archive) < ANSWER_TIMEOUT_S + 0.5
        await asyncio.to_thread(postgres.start)
        deadline = time.monotonic() + BACK_WITHIN_S
        after = None
        while after is None:
            assert time.monotonic() < deadline
            try:
                after = await archive.order(oid(3))
            except ArchiveUnavailableError:
                await asyncio.sleep(0.2)
        assert after == before
        await archive.close()

    asyncio.run(check())


def test_archive_filled_from_another_log_has_no_positions(database: str) -> None:
    stored_sweep(database)

    async def check() -> None:
        archive = Archive(database, LogIdentity("cluster", OWN_LOG.topic, "another"))
        await archive.open()
        assert await archive.positions() == {}
        await archive.close()

    asyncio.run(check())


def test_archive_without_tables_is_unavailable(database: str) -> None:
    async def check() -> None:
        archive = Archive(psycopg.conninfo.make_conninfo(database, dbname="template1"), OWN_LOG)
        await archive.open()
        assert await refused(archive) < ANSWER_TIMEOUT_S + 0.5
        await archive.close()

    asyncio.run(check())


def test_archive_of_a_stuck_server_fails_in_bounded_time(database: str) -> None:
    stored_sweep(database)
    locker = psycopg.connect(database)

    async def check() -> None:
        archive = Archive(database, OWN_LOG)
        await archive.open()
        assert await archive.order(oid(1)) is not None
        with locker.transaction():
            locker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            assert await refused(archive) < ANSWER_TIMEOUT_S + 0.5
        assert await archive.order(oid(1)) is not None
        await archive.close()

    asyncio.run(check())
    locker.close()
