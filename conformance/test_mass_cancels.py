"""Cancels of all orders"""

import pytest

from conformance.mass_cancels import SCENARIOS
from conformance.scenarios import Scenario
from conformance.test_order_types import HttpExchange
from conformance.trader import Market, expect_answer

_CALL = "/orders/cancel-all"


@pytest.fixture(scope="session")
def mass_cancels(market: Market) -> Market:
    """The exchange, if it cancels all orders of a broker; skips otherwise."""
    market.require(_CALL, "post")
    return market


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.rule)
def test_mass_cancel(mass_cancels: Market, scenario: Scenario) -> None:
    """All orders of a broker"""
    if "rules " in scenario.actions:
        mass_cancels.require("/admin/stocks/{symbol}", "put")
    scenario.check(HttpExchange(mass_cancels))


def test_mass_cancel_of_a_symbol_leaves_the_others(mass_cancels: Market) -> None:
    """A cancel of all orders names what it cancelled, and may be limited to one symbol."""
    first, second, trader = mass_cancels.symbol(), mass_cancels.symbol(), mass_cancels.trader()
    placed = [trader.buy(first, 5, 50), trader.sell(first, 5, 60), trader.buy(second, 5, 50)]
    answer = trader.api.call("POST", f"{_CALL}?symbol={first}")
    body = expect_answer("the orders to be cancelled", answer, 200).body
    assert (body["cancelled_count"], body["cancelled"]) == (2, placed[:2])
    trader.expect_order(placed[2], "the order of another symbol to stay", closed_reason=None)
    body = expect_answer("the rest", trader.api.call("POST", _CALL), 200).body
    assert (body["cancelled_count"], body["cancelled"]) == (1, placed[2:])
    again = expect_answer("a repetition", trader.api.call("POST", _CALL), 200).body
    assert again["cancelled_count"] == 0, "expected a repetition to find no open order"


@pytest.mark.parametrize("query", ["symbol=a", "side=buy", "colour=1", "side=bid&side=ask"])
def test_unknown_filter_cancels_nothing(mass_cancels: Market, query: str) -> None:
    """A cancel of all orders with a filter that is no filter is 422 and cancels nothing."""
    symbol, trader = mass_cancels.symbol(), mass_cancels.trader()
    order = trader.buy(symbol, 5, 50)
    answer = trader.api.call("POST", f"{_CALL}?{query}")
    expect_answer("the filter to be refused", answer, 422, "invalid")
    trader.expect_order(order, "the order to stay", closed_reason=None)
