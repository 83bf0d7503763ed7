"""Market controls"""

import pytest

from conformance.market_controls import SCENARIOS
from conformance.scenarios import Scenario
from conformance.test_order_types import HttpExchange
from conformance.trader import Market, expect_answer

_CALL = "/admin/stocks/{symbol}"


@pytest.fixture(scope="session")
def controls(market: Market) -> Market:
    """The exchange, if operators can set instruments; skips otherwise."""
    market.require(_CALL, "put")
    return market


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.rule)
def test_market_control(controls: Market, scenario: Scenario) -> None:
    """A symbol with an instrument"""
    scenario.check(HttpExchange(controls))


def test_instrument_is_shown_with_its_stock(controls: Market) -> None:
    """An instrument is shown with its stock; its reference price is that of the last trade."""
    symbol, trader = controls.symbol(), controls.trader()
    path = f"/stocks/{symbol}"
    assert trader.api.get(path).body["instrument"] is None, "expected no instrument at first"
    sent = {"reference_price": 50, "tick_size": 5, "quantity_max": 100}
    answer = controls.admin.call("PUT", f"/admin{path}", sent)
    body = expect_answer("the instrument to be set", answer, 200).body
    unset = dict.fromkeys(("value_max", "price_min", "price_max", "band_ppm"))
    wanted = unset | {"lot_size": 1, "band_action": "cancel"} | sent
    assert body == {"symbol": symbol, "phase": "continuous", "instrument": wanted}
    trader.sell(symbol, 5, 55)
    trader.buy(symbol, 5, 55)
    stock = trader.api.get(path).body
    assert stock["instrument"] == wanted | {"reference_price": 55}
    assert (stock["phase"], stock["tick_size"], stock["lot_size"]) == ("continuous", 5, 1)
    again = controls.admin.call("PUT", f"/admin{path}", {"lot_size": 10})
    replaced = expect_answer("the instrument to be replaced", again, 200).body["instrument"]
    assert replaced["reference_price"] == 55, "expected the reference price to stay"
    assert (replaced["tick_size"], replaced["lot_size"]) == (1, 10), "expected a whole instrument"


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("reference_price", {}),
        ("reference_price", {"reference_price": 52, "tick_size": 5}),
        ("reference_price", {"reference_price": 44, "price_min": 45}),
        ("reference_price", {"reference_price": 56, "price_max": 55}),
        ("price_min", {"reference_price": 50, "price_min": 51, "price_max": 49}),
        ("tick_size", {"reference_price": 50, "tick_size": 0}),
        ("lot_size", {"reference_price": 50, "lot_size": True}),
        ("quantity_max", {"reference_price": 50, "quantity_max": 1_000_000_001}),
        ("value_max", {"reference_price": 50, "value_max": "much"}),
        ("colour", {"reference_price": 50, "colour": 1}),
    ],
)
def test_contradicting_instrument_is_refused(
    controls: Market, field: str, sent: dict[str, object]
) -> None:
    """An instrument whose values contradict each other is 422, with the field that is wrong."""
    answer = controls.admin.call("PUT", f"/admin/stocks/{controls.symbol()}", sent)
    expect_answer("the instrument to be refused", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == [f"/{field}"]


def test_instrument_is_set_by_the_admin_only(controls: Market) -> None:
    """Only the admin's key sets instruments."""
    path, sent = f"/admin/stocks/{controls.symbol()}", {"reference_price": 50}
    answer = controls.trader().api.call("PUT", path, sent)
    expect_answer("a broker to be refused", answer, 403, "forbidden")
