"""The queries of the services on filled tables: no sequential scan, no sort for a page, and no more
rows read than the page needs."""

import re
from collections.abc import Iterator

import pytest

from infra.postgres import LocalPostgres
from schemas.units import TIMESTAMP_MS_MAX
from schemas.webhooks import DeliveryStatus
from services.reader.list_archive import bounds_of, candles_query, fills_query, orders_query
from services.reader.overlay import Span
from services.runtime.postgres import pool
from services.runtime.postgres.connection import connect
from services.sink.migrate import migrate
from services.webhooks import deliveries
from tests.support import query_plans
from tests.support.queries import CASES, LAST, PAGE
from tests.support.query_plans import BIG, BUSY, QUIET, ROWS, event_id, read_by
from tests.support.sql_found import ROOT, statements

# Filling the tables takes most of it, on a busy machine.
pytestmark = pytest.mark.timeout(300)

# A row for each partition, migration or broker: PostgreSQL reads all of them faster than by index.
SMALL = {
    "brokers",
    "log_identity",
    "log_positions",
    "schema_migrations",
    "symbols",
    "trimmed",
    "webhook_endpoints",
    "webhook_pruned",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with filled tables."""
    server = LocalPostgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    try:
        migrate(server.url)
        query_plans.fill(server.url)
        yield server.url
    finally:
        server.stop()


@pytest.mark.parametrize("broker_id", [BUSY, QUIET])
@pytest.mark.parametrize("status", [None, "pending", "delivered", "parked"])
@pytest.mark.parametrize("after_a_page", [False, True])
def test_page_of_deliveries_reads_only_its_rows(
    database: str, broker_id: str, status: DeliveryStatus | None, after_a_page: bool
) -> None:
    before = ["ffffffff-0000-0000-0000-000000000000", "bid"] if after_a_page else []
    query = deliveries.page_query(status, after_a_page=after_a_page)
    with connect(database, pool.SESSION, autocommit=False) as connection:
        read = read_by(connection, query, [broker_id, *before, PAGE])
    assert not read.sorts, read
    assert not read.scanned, read
    assert read.rows <= PAGE, read


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("client_order_id", [None, "c", "unknown"])
@pytest.mark.parametrize("broker_id", [BUSY, QUIET])
def test_page_of_orders_reads_only_its_rows(
    database: str, broker_id: str, client_order_id: str | None, newest_first: bool
) -> None:
    query = orders_query(newest_first=newest_first, of_client_id=client_order_id is not None)
    asked = {
        "broker_id": broker_id,
        "client_order_id": client_order_id,
        "after": event_id(1) if newest_first else event_id(ROWS // 2),
        "before": event_id(ROWS // 2) if newest_first else LAST,
        "scan": PAGE,
    }
    with connect(database, pool.SESSION, autocommit=False) as connection:
        read = read_by(connection, query, asked)
    assert not read.sorts, read
    assert not read.scanned, read
    assert read.rows <= PAGE, read


@pytest.mark.parametrize("newest", [True, False])
def test_candles_read_only_their_rows(database: str, newest: bool) -> None:
    asked = {
        "partition": 1,
        "symbol": "S1",
        "interval": "1m",
        "low": 0 if newest else 1_700_001_000_000,
        "high": TIMESTAMP_MS_MAX,
        "limit": PAGE,
    }
    with connect(database, pool.SESSION, autocommit=False) as connection:
        read = read_by(connection, candles_query(newest=newest), asked)
    assert not read.sorts, read
    assert not read.scanned, read
    assert read.rows <= PAGE, read


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("order_id", [None, BIG, event_id(7_000)])
@pytest.mark.parametrize("broker_id", [BUSY, QUIET])
def test_page_of_fills_reads_only_its_rows(
    database: str, broker_id: str, order_id: str | None, newest_first: bool
) -> None:
    query = fills_query(newest_first=newest_first, of_order=order_id is not None)
    middle = f"{event_id(ROWS // 2)}-ask"
    span = Span(None, middle, True, PAGE) if newest_first else Span(middle, None, False, PAGE)
    asked = {"broker_id": broker_id, "order_id": order_id, "scan": PAGE} | bounds_of(span)
    with connect(database, pool.SESSION, autocommit=False) as connection:
        read = read_by(connection, query, asked)
    assert not read.scanned, read
    # A page of each side, and the order of each fill.
    assert read.rows <= 3 * PAGE, read


@pytest.mark.parametrize("key", CASES)
def test_query_reads_what_its_answer_needs(database: str, key: str) -> None:
    for case in CASES[key]:
        query = statements()[key] + case.then
        # Rolled back, and each in its own session: plans must not depend on one another.
        with connect(database, case.session, autocommit=False) as connection:
            for statement in case.setup:
                connection.execute(statement.encode())
            read = read_by(connection, query, case.parameters)
            connection.rollback()
        assert case.sorts or not read.sorts, read
        assert case.scans or not set(read.scanned) - SMALL, read
        assert read.rows <= case.rows_max, read


def test_answer_of_the_quarantine_reads_only_its_rows(database: str) -> None:
    """The query of `docs/operating.md`."""
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"```sql\n(SELECT [^`]* FROM quarantine [^`]*);\n```", page)
    with connect(database, autocommit=False) as connection:
        read = read_by(connection, query, [])
    assert not read.sorts, read
    assert not read.scanned, read
    assert read.rows <= 100, read
