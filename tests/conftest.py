"""Fixtures that every kind of test may use. One Kafka and one PostgreSQL serve a whole process."""

from collections.abc import Iterator

import pytest

from infra.broker import LocalKafka
from infra.postgres import LocalPostgres
from tests.selection import LAST, TARGETS, left_out, shard_of
from tests.support.exchange import Exchange, fresh_exchange
from tests.support.servers import server_choice


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that `python -m tests` passes to each of its processes."""
    parser.addoption("--target", choices=TARGETS, help="leave out what this target leaves out")
    parser.addoption("--shard", default="1/1", metavar="N/OF", help="run one part of the files")


def pytest_report_header() -> str:
    """Kind of servers that tests/integration uses, and the reason."""
    return str(server_choice())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the items of this target and shard; the audit of everything comes last."""
    number, _, shards = config.getoption("shard").partition("/")
    target = TARGETS.get(config.getoption("target") or "")
    wanted = [item for item in items if target is None or not left_out(_file(item), target)]
    shard = shard_of(map(_file, wanted), int(shards))
    kept = [item for item in wanted if _file(item) == LAST or shard[_file(item)] == int(number) - 1]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = sorted(kept, key=lambda item: _file(item) == LAST)


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for the whole process. A test that stops a part of it starts it again."""
    with fresh_exchange(tmp_path_factory.mktemp("exchange")) as running:
        yield running


@pytest.fixture(scope="session")
def kafka(exchange: Exchange) -> LocalKafka:
    """The exchange's broker. A test takes its own topic prefix there."""
    return exchange.kafka


@pytest.fixture(scope="session")
def postgres(exchange: Exchange) -> LocalPostgres:
    """The exchange's database server. A test creates its own database there."""
    return exchange.postgres
