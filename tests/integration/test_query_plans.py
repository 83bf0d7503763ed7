"""The queries of the services on filled tables: no sequential scan, no sort for a page, and no more
rows read than the page needs."""

from collections.abc import Iterator

import psycopg
import pytest

from infra.postgres import LocalPostgres
from schemas.webhooks import DeliveryStatus
from services.sink.migrate import migrate
from services.webhooks import deliveries
from tests.support import query_plans
from tests.support.query_plans import BUSY, QUIET, read_by

PAGE = 51


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
    with psycopg.connect(database) as connection:
        read = read_by(connection, query, [broker_id, *before, PAGE])
    assert not read.sorts, read
    assert not read.scanned, read
    assert read.rows <= PAGE, read
