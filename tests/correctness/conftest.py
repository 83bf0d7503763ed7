"""Which markets the rules are judged on: one at `--url`, or this run's exchange and the baselines.

The baselines are worth a comparison only if they trade by the same rules.
"""

import secrets
from collections.abc import Iterator

import pytest

from infra.postgres import LocalPostgres
from loadgen.baselines.__main__ import KINDS
from loadgen.baselines.service import Baseline
from tests.correctness.trader import Market
from tests.support.exchange import Exchange

OURS = "ours"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each rule once on every market."""
    if "market" in metafunc.fixturenames:
        asked = metafunc.config.getoption
        names = ["given"] if asked("url") else asked("market") or [OURS, *KINDS]
        metafunc.parametrize("market", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def market(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Market]:
    """The exchange under judgement."""
    options = request.config
    if request.param == "given":
        yield Market(options.getoption("url"), options.getoption("admin_key"))
        return
    exchange: Exchange = request.getfixturevalue("exchange")
    if request.param == OURS:
        yield Market(exchange.url, exchange.admin_key)
        return
    postgres: LocalPostgres = exchange.postgres
    database_url = postgres.create_database(f"{request.param}_{secrets.token_hex(4)}")
    baseline = Baseline(
        request.param, database_url, secrets.token_urlsafe(24), tmp_path_factory.mktemp("baseline")
    )
    baseline.start()
    yield Market(baseline.url, baseline.admin_key)
    baseline.stop()
