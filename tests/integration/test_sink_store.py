"""Migrations and the sink's SQL on a real PostgreSQL; the archive reads all stored rows back."""

import asyncio
import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from msgspec import structs

from conformance.api import eventually
from schemas.brokers import Broker
from schemas.executions import Expired, InstrumentSet, OrderEntered, PhaseSet, Ticked
from schemas.instruments import InstrumentRules
from schemas.orders import OrderRecord
from schemas.units import TIMESTAMP_MS_MAX
from services.reader.archive import Archive
from services.reader.views import Views
from services.runtime.errors import BrokenLogError, UnavailableError
from services.runtime.kafka.execution_filter import Batch, FilterPosition
from services.runtime.kafka.topic_identity import LogIdentity
from services.sink.errors import ForeignDatabaseError, MigrationError, OvertakenError
from services.sink.migrate import DIRECTORY, migrate, require_migrated
from services.sink.rows import Rows
from services.sink.store import Move, Store
from tests.support.reader_outcomes import ALICE, BOB, CAROL, T0, batch, fill, limit, oid, sweep
from tests.support.servers import DatabaseServer

ALL = [
    "0001_tables.sql",
    "0002_sums.sql",
    "0003_webhooks.sql",
    "0004_webhooks_pruned.sql",
    "0005_quarantine.sql",
    "0006_trades_of_an_order.sql",
    "0007_pending_tests.sql",
    "0008_own_lists.sql",
    "0009_trimmed.sql",
    "0010_candles.sql",
    "0011_order_conditions.sql",
    "0012_instruments.sql",
    "0013_broker_events.sql",
    "0014_stop_orders.sql",
    "0015_icebergs.sql",
    "0016_self_trade_prevention.sql",
    "0017_day_orders.sql",
    "0018_trades_count.sql",
]


@pytest.fixture
def empty(postgres: DatabaseServer) -> str:
    return postgres.create_database(f"store_{uuid.uuid4().hex[:12]}")


@pytest.fixture
def url(empty: str) -> str:
    migrate(empty)
    return empty


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url)
    yield opened
    opened.close()


def write(store: Store, each: Batch, expected: int | None = None) -> None:
    rows = Rows()
    rows.add(each)
    end = each.first_command + len(each.outcomes)
    start = each.first_command if expected is None else expected
    store.write(rows, {0: Move(start, FilterPosition(end, 0, end))})


def archived(url: str, *order_ids: str) -> list[OrderRecord | None]:
    async def read() -> list[OrderRecord | None]:
        archive = Archive(url, LogIdentity("cluster", "exchange.executions.v1", "a"))
        await archive.open()
        try:
            return [await archive.order(order_id) for order_id in order_ids]
        finally:
            await archive.close()

    return asyncio.run(read())


def test_migrate_twice_applies_once(empty: str) -> None:
    with pytest.raises(MigrationError, match="lacks"):
        require_migrated(empty)
    assert migrate(empty) == ALL
    assert migrate(empty) == []
    require_migrated(empty)


def test_migrate_by_two_at_once_applies_once(empty: str) -> None:
    applied: list[str] = []
    threads = [threading.Thread(target=lambda: applied.extend(migrate(empty))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert applied == ALL


def test_migration_edited_after_it_was_applied_is_refused(url: str, tmp_path: Path) -> None:
    edited = tmp_path / "migrations"
    shutil.copytree(DIRECTORY, edited)
    with (edited / "0001_tables.sql").open("a") as file:
        file.write("-- one more line\n")
    with pytest.raises(MigrationError, match="was changed after"):
        migrate(url, edited)
    with pytest.raises(MigrationError, match="was changed after"):
        require_migrated(url, edited)


def test_failed_migration_changes_nothing(empty: str, tmp_path: Path) -> None:
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE good (id integer)")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE bad (")
    with pytest.raises(psycopg.errors.SyntaxError):
        migrate(empty, tmp_path)
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT to_regclass('good')").fetchone() == (None,)


def test_database_newer_than_the_program_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="newer"):
        migrate(url, tmp_path)


def test_migrations_with_a_gap_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_late.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="without a gap"):
        migrate("", tmp_path)


def test_migrate_without_a_server_fails_with_the_reason() -> None:
    with pytest.raises(UnavailableError, match="PostgreSQL is away: connection failed"):
        migrate("postgresql://127.0.0.1:1/nothing")


def test_orders_with_trades_read_back_equal_those_of_the_views(store: Store, url: str) -> None:
    store.positions(1)
    views = Views()
    whole = sweep()
    steps = [Batch(0, 0, whole.outcomes[:2]), Batch(0, 2, whole.outcomes[2:])]
    for step in steps:
        views.apply(step)
        write(store, step)
    order_ids = [oid(number) for number in range(1, 7)]
    assert archived(url, *order_ids) == [views.order(order_id) for order_id in order_ids]
    assert archived(url, oid(77)) == [None]


def test_trades_of_one_order_are_in_execution_order(store: Store, url: str) -> None:
    store.positions(1)
    makers = [limit(number, BOB, "ask", 1, 1000 - number) for number in range(1, 6)]
    fills = tuple(fill(n, 6 - n, BOB, 994 + n, 1, 0) for n in range(1, 6))
    each = batch(*makers, limit(6, CAROL, "bid", 9, 999, left=4, fills=fills))
    write(store, each)
    last = limit(
        7, ALICE, "ask", 1, None, left=0, closed="filled", fills=(fill(6, 6, CAROL, 999, 1, 3),)
    )
    write(store, batch(last, first=6))
    (order,) = archived(url, oid(6))
    assert order is not None
    assert [trade.price for trade in order.trades] == [995, 996, 997, 998, 999, 999]
    assert [trade.counterparty_broker_id for trade in order.trades] == [BOB] * 5 + [ALICE]
    assert (order.remaining_quantity, order.filled_value) == (3, 995 + 996 + 997 + 998 + 999 + 999)


@pytest.mark.parametrize("instant", [T0 + 1, T0 + 999, TIMESTAMP_MS_MAX])
def test_times_are_read_back_to_the_millisecond(store: Store, url: str, instant: int) -> None:
    store.positions(1)
    write(store, batch(limit(1, ALICE, "bid", 5, 10, valid_until=instant)))
    (order,) = archived(url, oid(1))
    assert order is not None
    assert (order.valid_until, order.created_at) == (instant, T0)


def test_phase_and_day_order_are_stored_and_read_back(store: Store, url: str) -> None:
    store.positions(1)
    order = OrderEntered(**structs.asdict(limit(1, ALICE, "bid", 5, 10)), time_in_force="day")
    instrument = InstrumentSet("PETR4", "0" * 16, InstrumentRules(), 50, "continuous", 0, 0)
    first = batch(instrument, order)
    halted = batch(PhaseSet("PETR4", "1" * 16, "continuous", "halted", 2), first=2)
    gone = (Expired(order.order_id, ALICE, order.symbol, 5, 4),)
    closed = batch(PhaseSet("PETR4", "2" * 16, "halted", "closed", 3), (Ticked(), gone), first=3)
    phases, views = [], Views()
    for each in (first, halted, closed):
        write(store, each)
        views.apply(each)
        with psycopg.connect(url) as connection:
            phases += connection.execute("SELECT phase FROM instruments").fetchall()
    assert phases == [("continuous",), ("halted",), ("closed",)]
    (record,) = archived(url, order.order_id)
    assert record is not None
    assert (record.time_in_force, record.closed_reason) == ("day", "expired")
    assert record.valid_until is None


def test_superseded_sink_writes_nothing(store: Store, url: str) -> None:
    store.positions(1)
    write(store, batch(limit(1, ALICE, "bid", 5, 10)))
    with pytest.raises(OvertakenError):
        write(store, batch(limit(2, ALICE, "bid", 5, 10)))
    assert store.positions(2) == {
        0: FilterPosition(1, 0, 1),
        1: FilterPosition(),
    }
    assert archived(url, oid(2)) == [None]


def test_duplicate_row_raises_with_nothing_written(store: Store) -> None:
    store.positions(1)
    write(store, batch(limit(1, ALICE, "bid", 5, 10)))
    with pytest.raises(BrokenLogError):
        write(store, batch(limit(1, ALICE, "bid", 5, 10), first=1))
    assert store.positions(1)[0].next_command == 1


def test_bind_to_a_second_log_is_refused(store: Store) -> None:
    own_log = LogIdentity("cluster", "exchange.executions.v1", "a")
    store.bind(own_log)
    store.bind(own_log)
    with pytest.raises(ForeignDatabaseError, match="another log"):
        store.bind(LogIdentity("cluster", "exchange.executions.v1", "b"))


def test_broker_stored_again_is_replaced(store: Store, url: str) -> None:
    store.upsert_brokers([Broker(ALICE, "Old", "0" * 64, T0)])
    store.upsert_brokers([Broker(ALICE, "New", "1" * 64, T0, "https://example.org/hook")])
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT name, api_key_hash, webhook_url FROM brokers").fetchall()
    assert rows == [("New", "1" * 64, "https://example.org/hook")]


def is_connected(url: str, pid: int) -> bool:
    """True if PostgreSQL still has a session with this process id."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid])
        return found.fetchone() is not None


def test_terminated_session_is_a_lost_connection_and_other_errors_are_not(url: str) -> None:
    store, other = Store(url), Store(url)
    try:
        other.end(structs.replace(store.session, started="another start"))
        assert store.positions(1)
        other.end(store.session)
        eventually("the session ends", lambda: not is_connected(url, store.session.pid))
        with pytest.raises(psycopg.OperationalError):
            store.positions(1)
        assert other.positions(1)
    finally:
        store.close()
        other.close()


def test_server_silent_at_the_start_is_unavailable(url: str) -> None:
    with psycopg.connect(url) as locker:
        locker.execute("LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(UnavailableError, match="PostgreSQL is away: "):
            require_migrated(url, silence_s_max=0.5)
    require_migrated(url)
