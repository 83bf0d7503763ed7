"""Servers for these tests, in containers where they are chosen, else those of the whole run.

The services are processes either way. Tests that strike servers harder than by a kill start local
ones of their own, wherever the others run.
"""

from collections.abc import Iterator

import pytest
from msgspec import structs

from tests.support.containers import Containers, running_containers
from tests.support.exchange import SETTINGS, Exchange, an_exchange
from tests.support.servers import DatabaseServer, KafkaServer, chosen


@pytest.fixture(scope="session")
def containers() -> Iterator[Containers | None]:
    """None when local servers were chosen."""
    if not chosen().containers:
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
    """One exchange for all of these tests."""
    if containers is None:
        yield request.getfixturevalue("exchange")
        return
    settings = structs.replace(
        SETTINGS,
        kafka=containers.kafka.bootstrap_servers,
        database_url=containers.postgres.url,
    )
    with an_exchange(tmp_path_factory.mktemp("exchange"), settings) as running:
        yield running


@pytest.fixture(scope="session")
def kafka(exchange: Exchange, containers: Containers | None) -> KafkaServer:
    """The exchange's broker: use a topic prefix of your own."""
    return containers.kafka if containers else exchange.kafka


@pytest.fixture(scope="session")
def postgres(exchange: Exchange, containers: Containers | None) -> DatabaseServer:
    """The exchange's database server: make a database of your own."""
    return containers.postgres if containers else exchange.postgres
