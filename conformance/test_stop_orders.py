"""Stop orders"""

import pytest

from conformance.scenarios import Scenario
from conformance.stop_orders import SCENARIOS
from conformance.test_order_types import HttpExchange
from conformance.trader import Market, expect_answer


@pytest.fixture(scope="session")
def stops(market: Market) -> Market:
    """The exchange, if it takes stop orders; skips otherwise."""
    market.require("/admin/stocks/{symbol}", "put")
    more = {"order_type": "stop", "stop_price": 5}
    if market.trader().api.place("bid", market.symbol(), 1, None, **more).status != 409:
        pytest.skip("this exchange offers no stop orders")
    return market


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.rule)
def test_stop_order(stops: Market, scenario: Scenario) -> None:
    """An order with a stop price"""
    scenario.check(HttpExchange(stops))


def test_stop_order_is_open_while_it_waits_and_shows_its_election(stops: Market) -> None:
    """A stop order is open while it waits; triggered_at is the time at which it was elected."""
    symbol, trader, other = stops.symbol(), stops.trader(), stops.trader()
    stops.set_instrument(symbol, {"reference_price": 50})
    waiting = trader.buy(symbol, 3, 57, order_type="stop_limit", stop_price=55)
    what = "the stop-limit order to wait"
    shown = {"order_type": "stop_limit", "stop_price": 55, "price": 57, "time_in_force": "gtc"}
    trader.expect_order(waiting, what, status="open", triggered_at=None, **shown)
    assert trader.levels(symbol, "bids") == [], "expected the book to show nothing of it"
    other.sell(symbol, 2, 55)
    other.buy(symbol, 1, 55)
    order = trader.order(waiting)
    assert order["triggered_at"] == order["updated_at"], "expected the time of the election"
    trader.expect_order(waiting, "the rest to rest", status="open", remaining_quantity=2, **shown)
    assert trader.levels(symbol, "bids") == [(57, 2, 1)]


@pytest.mark.parametrize(
    ("field", "order"),
    [
        ("stop_price", {"order_type": "stop"}),
        ("stop_price", {"order_type": "limit", "price": 50, "stop_price": 50}),
        ("stop_price", {"order_type": "stop_limit", "price": 50, "stop_price": 51}),
        ("stop_price", {"order_type": "stop", "stop_price": 0}),
        ("price", {"order_type": "stop", "price": 50, "stop_price": 50}),
        ("price", {"order_type": "stop_limit", "stop_price": 50}),
        ("time_in_force", {"order_type": "stop", "stop_price": 50, "time_in_force": "ioc"}),
        ("post_only", {"order_type": "stop", "stop_price": 50, "post_only": True}),
        ("minimum_quantity", {"order_type": "stop", "stop_price": 50, "minimum_quantity": 1}),
    ],
)
def test_contradicting_fields_of_a_stop_order_are_refused(
    stops: Market, field: str, order: dict[str, object]
) -> None:
    """Fields of a stop order that contradict each other are 422, with the field that is wrong."""
    more = dict(order)
    price = more.pop("price", None)
    assert price is None or isinstance(price, int)
    answer = stops.trader().api.place("bid", stops.symbol(), 5, price, **more)
    expect_answer("the order to be refused", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == [f"/{field}"]
