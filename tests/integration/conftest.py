"""Servers of the integration tests: containers if selected, otherwise the servers of the test run.

The services are processes in both cases. Tests with faults more severe than a kill start separate
local servers.
"""

from collections.abc import Iterator

import pytest
from msgspec import structs

from tests.integration.audited_market import AuditedMarket, recorded_market
from tests.support.containers import Containers, running_containers
from tests.support.exchange import SETTINGS, Exchange, fresh_exchange
from tests.support.servers import DatabaseServer, KafkaServer, server_choice


@pytest.fixture(scope="session")
def containers() -> Iterator[Containers | None]:
    """Running containers, or None if local servers were selected."""
    if not server_choice().containers:
        yield None
        return
    with running_containers() as running:
        yield running


@pytest.fixture(scope="session")
def exchange(
    request: pytest.FixtureRequest,
    containers: Containers | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Exchange]:
    """The exchange that all integration tests share."""
    if containers is None:
        yield request.getfixturevalue("exchange")
        return
    settings = structs.replace(
        SETTINGS,
        kafka=containers.kafka.bootstrap_servers,
        database_url=containers.postgres.url,
    )
    with fresh_exchange(tmp_path_factory.mktemp("exchange"), settings) as running:
        yield running


@pytest.fixture(scope="session")
def kafka(exchange: Exchange, containers: Containers | None) -> KafkaServer:
    """The exchange's broker; each test must use a separate topic prefix."""
    return containers.kafka if containers else exchange.kafka


@pytest.fixture(scope="session")
def postgres(exchange: Exchange, containers: Containers | None) -> DatabaseServer:
    """The exchange's database server; each test must create a separate database."""
    return containers.postgres if containers else exchange.postgres


@pytest.fixture(scope="session")
def market(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedMarket]:
    """A recorded market, which no test changes."""
    with recorded_market(exchange, tmp_path_factory.mktemp("recorded")) as recorded:
        yield recorded
