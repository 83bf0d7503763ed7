"""The exchange under judgement: the one at `--url`, or a fresh one on this machine."""

from collections.abc import Iterator

import pytest

from conformance.hooks import Hooks
from conformance.receiver import a_receiver
from conformance.trader import Market
from infra.ports import LOOPBACK
from services.local.exchange import running_exchange
from services.local.signals import temporary_data_dir

# A slow exchange, or one on a busy machine, breaks no rule: this limit only ends a hanging test.
TEST_S = 600


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `python -m conformance` that reach the fixtures."""
    parser.addoption("--url", help="a running exchange; without it a fresh one is started")
    parser.addoption("--admin-key", help="its admin key")
    parser.addoption(
        "--receiver-host", default=LOOPBACK, help="address of this machine for its webhooks"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every rule the long time limit."""
    for item in items:
        if "market" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(TEST_S))


@pytest.fixture(scope="session")
def market(request: pytest.FixtureRequest) -> Iterator[Market]:
    """The exchange under judgement."""
    url = request.config.getoption("url")
    if url:
        yield Market(url, request.config.getoption("admin_key"))
        return
    with temporary_data_dir() as folder, running_exchange(folder) as stack:
        yield Market(stack.url, stack.admin_key)


@pytest.fixture
def hooks(request: pytest.FixtureRequest, market: Market) -> Iterator[Hooks]:
    """One test's receiver of the exchange's webhooks; skips where the exchange has none."""
    if not market.offers("/webhooks/deliveries"):
        # A fresh exchange has webhooks: without them its document or its routes are broken.
        assert request.config.getoption("url"), "a fresh exchange does not offer webhooks"
        pytest.skip("this exchange offers no webhooks")
    with a_receiver(host=request.config.getoption("receiver_host")) as receiver:
        yield Hooks(market, receiver)
