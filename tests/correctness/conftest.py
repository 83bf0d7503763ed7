"""Which exchange the rules are judged on: the one at `--url`, or this run's own."""

import pytest

from tests.correctness.trader import Market
from tests.support.exchange import Exchange

OURS = "ours"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each rule once on every market."""
    if "market" in metafunc.fixturenames:
        named = metafunc.config.getoption("url")
        params = {"given": named} if named else {OURS: OURS}
        metafunc.parametrize(
            "market", params.values(), ids=params.keys(), indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def market(request: pytest.FixtureRequest) -> Market:
    """The exchange under judgement."""
    if request.param != OURS:
        return Market(request.param, request.config.getoption("admin_key"))
    exchange: Exchange = request.getfixturevalue("exchange")
    return Market(exchange.url, exchange.admin_key)
