"""Self-trade prevention and price bands"""

import pytest

from conformance.protections import BAND, PREVENTION
from conformance.scenarios import Scenario
from conformance.test_order_types import HttpExchange
from conformance.trader import Market, expect_answer


@pytest.fixture(scope="session")
def prevention(market: Market) -> Market:
    """The exchange, if it has self-trade prevention; skips otherwise."""
    market.require("/admin/stocks/{symbol}", "put")
    more = {"self_trade_prevention": "cancel_taker"}
    if market.trader().api.place("bid", market.symbol(), 1, 1, **more).status != 409:
        pytest.skip("this exchange offers no self-trade prevention")
    return market


@pytest.fixture(scope="session")
def band(market: Market) -> Market:
    """The exchange, if its instruments have a dynamic band; skips otherwise."""
    market.require("/admin/stocks/{symbol}", "put")
    fields = {"reference_price": 50, "band_ppm": 100_000}
    if market.admin.call("PUT", f"/admin/stocks/{market.symbol()}", fields).status != 200:
        pytest.skip("this exchange offers no dynamic price bands")
    return market


@pytest.mark.parametrize("scenario", PREVENTION, ids=lambda scenario: scenario.rule)
def test_prevention(prevention: Market, scenario: Scenario) -> None:
    """An order and the orders of its own broker and document"""
    scenario.check(HttpExchange(prevention))


@pytest.mark.parametrize("scenario", BAND, ids=lambda scenario: scenario.rule)
def test_band(band: Market, scenario: Scenario) -> None:
    """An order on a symbol with a dynamic band"""
    scenario.check(HttpExchange(band))


def test_order_shows_its_prevention(prevention: Market) -> None:
    """An order shows its self_trade_prevention, and none by default."""
    symbol, trader = prevention.symbol(), prevention.trader()
    prevention.set_instrument(symbol, {"reference_price": 50})
    what = "the order to show its prevention"
    for mode in ("cancel_taker", "cancel_maker", "cancel_both"):
        order = trader.buy(symbol, 5, 40, self_trade_prevention=mode)
        trader.expect_order(order, what, self_trade_prevention=mode)
    named = trader.buy(symbol, 5, 40, self_trade_prevention="none")
    trader.expect_order(named, what, self_trade_prevention="none")
    trader.expect_order(trader.buy(symbol, 5, 40), what, self_trade_prevention="none")


def test_unknown_prevention_is_refused(prevention: Market) -> None:
    """An unknown self_trade_prevention is 422, with the field that is wrong."""
    more = {"self_trade_prevention": "decrement"}
    answer = prevention.trader().api.place("bid", prevention.symbol(), 5, 50, **more)
    expect_answer("the order to be refused", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == ["/self_trade_prevention"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("band_ppm", 0), ("band_ppm", 1_000_001), ("band_ppm", "10%"), ("band_action", "wait")],
)
def test_invalid_band_is_refused(band: Market, field: str, value: object) -> None:
    """A band that the exchange does not offer is 422, with the field that is wrong."""
    fields = {"reference_price": 50, field: value}
    answer = band.admin.call("PUT", f"/admin/stocks/{band.symbol()}", fields)
    expect_answer("the instrument to be refused", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == [f"/{field}"]
