"""Iceberg orders"""

import pytest

from conformance.icebergs import INCREMENTS, SCENARIOS
from conformance.scenarios import Scenario
from conformance.test_order_types import HttpExchange
from conformance.trader import Market, expect_answer


@pytest.fixture(scope="session")
def icebergs(market: Market) -> Market:
    """The exchange, if orders may hide a part; skips otherwise."""
    answer = market.trader().api.place("bid", market.symbol(), 2, 1, display_quantity=1)
    if answer.status == 422:
        pytest.skip("this exchange offers no iceberg orders")
    return market


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.rule)
def test_iceberg_order(icebergs: Market, scenario: Scenario) -> None:
    """An order with a display quantity"""
    scenario.check(HttpExchange(icebergs))


@pytest.mark.parametrize("scenario", INCREMENTS, ids=lambda scenario: scenario.rule)
def test_iceberg_order_of_a_symbol_with_an_instrument(icebergs: Market, scenario: Scenario) -> None:
    """An order with a display quantity, on a symbol with an instrument"""
    icebergs.require("/admin/stocks/{symbol}", "put")
    scenario.check(HttpExchange(icebergs))


def test_iceberg_order_shows_all_to_its_broker_alone(icebergs: Market) -> None:
    """An iceberg order shows its owner all of it; the book counts it once, with its slice."""
    symbol, trader, other = icebergs.symbol(), icebergs.trader(), icebergs.trader()
    what = "the order to show what the book shows of it"
    plain = trader.sell(symbol, 5, 51)
    trader.expect_order(plain, what, display_quantity=None, displayed_quantity=None)
    order = trader.sell(symbol, 30, 50, display_quantity=10)
    trader.expect_order(
        order, what, display_quantity=10, displayed_quantity=10, remaining_quantity=30
    )
    assert trader.levels(symbol, "asks") == [(50, 10, 1), (51, 5, 1)]
    other.buy(symbol, 14, 50)
    trader.expect_order(order, what, displayed_quantity=6, remaining_quantity=16)
    assert trader.levels(symbol, "asks") == [(50, 6, 1), (51, 5, 1)]
    answer = trader.api.replace(order, display_quantity=4)
    expect_answer("the display quantity to be replaced", answer, 200)
    trader.expect_order(order, what, display_quantity=4, displayed_quantity=6)
    other.buy(symbol, 8, 50)
    trader.expect_order(order, what, display_quantity=4, displayed_quantity=2)
    trader.cancel(order)
    trader.expect_order(order, what, displayed_quantity=None, remaining_quantity=8)
    assert trader.levels(symbol, "asks") == [(51, 5, 1)]


def test_repeated_iceberg_order_is_the_same_order(icebergs: Market) -> None:
    """A repeated client_order_id with another display quantity is another order: 409."""
    symbol, trader = icebergs.symbol(), icebergs.trader()
    more = {"client_order_id": "1", "display_quantity": 2}
    first = expect_answer("a new order", trader.api.place("bid", symbol, 5, 50, **more), 201)
    again = expect_answer("the same order", trader.api.place("bid", symbol, 5, 50, **more), 200)
    assert again.body["order_id"] == first.body["order_id"]
    for other in ({}, {"display_quantity": 3}):
        answer = trader.api.place("bid", symbol, 5, 50, client_order_id="1", **other)
        expect_answer("the id to belong to another order", answer, 409, "client_order_id_reused")


@pytest.mark.parametrize(
    ("field", "order"),
    [
        ("display_quantity", {"display_quantity": 501}),
        ("display_quantity", {"display_quantity": 4}),
        ("display_quantity", {"display_quantity": 50, "time_in_force": "ioc"}),
        ("display_quantity", {"display_quantity": 50, "time_in_force": "fok"}),
        ("display_quantity", {"display_quantity": 50, "price": None}),
        ("minimum_quantity", {"display_quantity": 50, "minimum_quantity": 5}),
        ("display_quantity", {"display_quantity": 0}),
        ("display_quantity", {"display_quantity": -1}),
        ("display_quantity", {"display_quantity": True}),
        ("display_quantity", {"display_quantity": "5"}),
        ("display_quantity", {"display_quantity": 1_000_000_001}),
    ],
)
def test_contradicting_fields_of_an_iceberg_order_are_refused(
    icebergs: Market, field: str, order: dict[str, object]
) -> None:
    """Fields of an iceberg order that contradict each other are 422, with the field."""
    more: dict[str, object] = {"price": 50} | order
    price = more.pop("price")
    assert price is None or isinstance(price, int)
    answer = icebergs.trader().api.place("bid", icebergs.symbol(), 500, price, **more)
    expect_answer("the order to be refused", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == [f"/{field}"]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("display_quantity", {"display_quantity": 501}),
        ("display_quantity", {"display_quantity": 4}),
        ("display_quantity", {"display_quantity": 30, "quantity": 20}),
        ("display_quantity", {"display_quantity": -1}),
        ("quantity", {"quantity": 5_001}),
    ],
)
def test_replacement_of_an_iceberg_order_that_does_not_fit_is_refused(
    icebergs: Market, field: str, values: dict[str, object]
) -> None:
    """A display quantity that does not fit the quantity is 422, and the order stays as it is."""
    symbol, trader = icebergs.symbol(), icebergs.trader()
    order = trader.sell(symbol, 500, 50, display_quantity=50)
    answer = trader.api.replace(order, **values)
    expect_answer("the replacement to be refused", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == [f"/{field}"]
    trader.expect_order(order, "the order to stay", quantity=500, display_quantity=50)
