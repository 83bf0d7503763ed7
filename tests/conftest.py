"""Fixtures that every kind of test may use. One Kafka and one PostgreSQL serve the whole run."""

from collections.abc import Iterator

import pytest

from infra.broker import LocalKafka
from infra.postgres import LocalPostgres
from tests.support.exchange import Exchange, an_exchange
from tests.support.servers import chosen


def pytest_report_header() -> str:
    """Where the integration tests find their servers, and why there."""
    return str(chosen())


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for the whole run. A test that stops a part of it starts it again."""
    with an_exchange(tmp_path_factory.mktemp("exchange")) as running:
        yield running


@pytest.fixture(scope="session")
def kafka(exchange: Exchange) -> LocalKafka:
    """The exchange's broker: use a topic prefix of your own."""
    return exchange.kafka


@pytest.fixture(scope="session")
def postgres(exchange: Exchange) -> LocalPostgres:
    """The exchange's database server: make a database of your own."""
    return exchange.postgres
