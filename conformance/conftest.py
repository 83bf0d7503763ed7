"""The exchange under judgement: the one at `--url`, or a fresh one on this machine."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from conformance.hooks import Hooks
from conformance.receiver import a_receiver
from conformance.session_calls import OpenSessions, SessionCalls
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
    parser.addoption("--transport", default="http", help="http, or session for orders")
    parser.addoption(
        "--receiver-host", default=LOOPBACK, help="address of this machine for its webhooks"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every rule the long time limit."""
    for item in items:
        if "market" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(TEST_S))


@pytest.fixture(scope="session")
def sessions() -> OpenSessions:
    """The order sessions of `--transport session`."""
    return OpenSessions()


@pytest.fixture(autouse=True)
def _closed_sessions(sessions: OpenSessions) -> Iterator[None]:
    yield
    sessions.close()


@pytest.fixture(scope="session")
def market(request: pytest.FixtureRequest, sessions: OpenSessions) -> Iterator[Market]:
    """The exchange under judgement."""
    with ExitStack() as stack:
        url, admin_key = request.config.getoption("url"), request.config.getoption("admin_key")
        if not url:
            folder = stack.enter_context(temporary_data_dir())
            exchange = stack.enter_context(running_exchange(folder))
            url, admin_key = exchange.url, exchange.admin_key
        if request.config.getoption("transport") == "session":
            yield Market(url, admin_key, lambda key: SessionCalls(url, key, sessions))
        else:
            yield Market(url, admin_key)


@pytest.fixture
def hooks(request: pytest.FixtureRequest, market: Market) -> Iterator[Hooks]:
    """One test's receiver of the exchange's webhooks; skips where the exchange has none."""
    if not market.offers("/webhooks/deliveries"):
        # A fresh exchange has webhooks: without them its document or its routes are broken.
        assert request.config.getoption("url"), "a fresh exchange does not offer webhooks"
        pytest.skip("this exchange offers no webhooks")
    with a_receiver(host=request.config.getoption("receiver_host")) as receiver:
        yield Hooks(market, receiver)
