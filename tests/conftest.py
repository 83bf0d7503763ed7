"""Fixtures that every kind of test may use. One Kafka and one PostgreSQL serve a whole process."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.broker import LocalKafka
from infra.postgres import LocalPostgres
from services.runtime.lifecycle import COLLECT_AFTER
from tests.selection import LAST, TARGETS, left_out, shard_of
from tests.support.exchange import Exchange, fresh_exchange
from tests.support.servers import server_choice

# The files that this process runs.
CHOSEN = pytest.StashKey[set[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that `python -m tests` passes to each of its processes."""
    parser.addoption("--target", choices=TARGETS, help="leave out what this target leaves out")
    parser.addoption("--shard", default="1/1", metavar="N/OF", help="run one part of the files")


def pytest_report_header() -> str:
    """Kind of servers that tests/integration uses, and the reason."""
    return str(server_choice())


def pytest_configure(config: pytest.Config) -> None:
    """Choose the files of this process before any of them is imported."""
    number, _, shards = config.getoption("shard").partition("/")
    target = TARGETS.get(config.getoption("target") or "")
    wanted = [file for file in _files(config) if target is None or not left_out(file, target)]
    shard = shard_of(wanted, int(shards))
    config.stash[CHOSEN] = {
        file for file in wanted if file == LAST or shard[file] == int(number) - 1
    }


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the test files of other processes."""
    if not collection_path.name.startswith("test_") or collection_path.suffix != ".py":
        return None
    return str(collection_path.relative_to(config.rootpath)) not in config.stash[CHOSEN] or None


def pytest_collection() -> None:
    """Collect no garbage while importing: nothing becomes any, and each pass visits all modules."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let garbage collections during the tests pass over what was imported."""
    gc.freeze()
    target = TARGETS.get(session.config.getoption("target") or "")
    # Where there are servers, tests drop Kafka clients in cycles, and each keeps one of the 1,024
    # thread-local keys of a process until it is collected.
    if target is not None and not target.servers:
        gc.set_threshold(*COLLECT_AFTER)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The audit of everything comes last."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0] == LAST)


def _files(config: pytest.Config) -> list[str]:
    """The test files below the paths of the command line, relative to the project."""
    paths = [config.invocation_params.dir / arg.partition("::")[0] for arg in config.args]
    files = (path.rglob("test_*.py") if path.is_dir() else [path] for path in paths)
    return sorted({str(f.resolve().relative_to(config.rootpath)) for each in files for f in each})


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for the whole process. A test that stops a part of it starts it again."""
    with fresh_exchange(tmp_path_factory.mktemp("exchange")) as running:
        yield running
        running.stack.stop_all()
        # Nothing reads the data again, and an ordered stop flushes the databases of all tests.
        running.postgres.kill()
        running.kafka.kill()


@pytest.fixture(scope="session")
def kafka(exchange: Exchange) -> LocalKafka:
    """The exchange's broker. A test takes its own topic prefix there."""
    return exchange.kafka


@pytest.fixture(scope="session")
def postgres(exchange: Exchange) -> LocalPostgres:
    """The exchange's database server. A test creates its own database there."""
    return exchange.postgres
