"""Which markets the rules are judged on: one at `--url`, or this run's exchange and the baselines.

The baselines are worth a comparison only if they trade by the same rules.
"""

import secrets
from collections.abc import Iterator

import pytest

from benchmarks.designs.__main__ import KINDS
from benchmarks.designs.service import Baseline
from conformance.hooks import Hooks
from conformance.trader import Market
from infra.postgres import LocalPostgres
from tests.support.exchange import Exchange
from tests.support.receiver import a_receiver

OURS = "ours"
# Nothing here is timed; this only ends what hangs.
TEST_S = 600


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each rule once on every market."""
    if "market" in metafunc.fixturenames:
        asked = metafunc.config.getoption
        # The baselines offer no webhooks.
        known = [OURS] if "hooks" in metafunc.fixturenames else [OURS, *KINDS]
        names = ["given"] if asked("url") else asked("market") or known
        metafunc.parametrize("market", names, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A slow exchange, or one on a busy machine, breaks no rule."""
    for item in items:
        if "market" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(TEST_S))


@pytest.fixture(scope="session")
def market(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Market]:
    """The exchange under judgement."""
    options = request.config
    if request.param == "given":
        yield Market(options.getoption("url"), options.getoption("admin_key"))
        return
    if request.param == OURS:
        exchange: Exchange = request.getfixturevalue("exchange")
        yield Market(exchange.url, exchange.admin_key)
        return
    folder = tmp_path_factory.mktemp(request.param)
    with LocalPostgres(folder / "postgres") as postgres:
        baseline = Baseline(request.param, postgres.url, secrets.token_urlsafe(24), folder)
        baseline.start()
        try:
            yield Market(baseline.url, baseline.admin_key)
        finally:
            baseline.stop()


@pytest.fixture
def hooks(request: pytest.FixtureRequest, market: Market) -> Iterator[Hooks]:
    """A receiver of this test's own for the market's webhooks, where it offers any."""
    if not market.offers("/webhooks/deliveries"):
        # Not of ours: then its document or its routes are broken.
        assert request.node.callspec.params["market"] != OURS, "our own exchange has no webhooks"
        pytest.skip("this exchange offers no webhooks")
    with a_receiver(host=request.config.getoption("receiver_host")) as receiver:
        yield Hooks(market, receiver)
