"""Phases and day orders"""

from typing import Any

import pytest

from conformance.phases import SCENARIOS
from conformance.scenarios import Scenario
from conformance.test_order_types import HttpExchange
from conformance.trader import Market, expect_answer

_CALL = "/admin/stocks/{symbol}/phase"
_LATER = "2099-12-31T23:59:59.999Z"


@pytest.fixture(scope="session")
def phases(market: Market) -> Market:
    """The exchange, if operators can change the phase of a symbol; skips otherwise."""
    market.require(_CALL, "post")
    return market


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.rule)
def test_phase(phases: Market, scenario: Scenario) -> None:
    """The phases of a symbol"""
    scenario.check(HttpExchange(phases))


def test_phase_is_shown_with_its_stock(phases: Market) -> None:
    """The phase is shown with the stock, and as its change; the same again changes nothing."""
    symbol, trader = phases.symbol(), phases.trader()
    phases.set_instrument(symbol, {"reference_price": 50})
    changes = (
        ("halted", "continuous", "continuous"),
        ("halted", "continuous", "halted"),
        ("closed", "halted", "halted"),
    )
    for phase, expected, previous in changes:
        wanted = {"phase": phase, "expected": expected}
        answer = phases.admin.call("POST", f"/admin/stocks/{symbol}/phase", wanted)
        body = expect_answer("the phase to be set", answer, 200).body
        assert body == {"symbol": symbol, "phase": phase, "previous": previous}
        stock = trader.api.get(f"/stocks/{symbol}").body
        assert stock["phase"] == phase, "expected the stock to show the phase"


def test_phase_that_is_not_expected_stays(phases: Market) -> None:
    """A phase other than the expected one is 409 and stays; a symbol without an instrument too."""
    symbol, trader = phases.symbol(), phases.trader()
    path = f"/admin/stocks/{symbol}/phase"
    answer = phases.admin.call("POST", path, {"phase": "halted"})
    expect_answer("the symbol to need an instrument", answer, 409, "needs_instrument")
    phases.set_instrument(symbol, {"reference_price": 50})
    answer = phases.admin.call("POST", path, {"phase": "closed", "expected": "halted"})
    expect_answer("the phase to differ", answer, 409, "phase_differs")
    assert trader.api.get(f"/stocks/{symbol}").body["phase"] == "continuous"


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("phase", {}),
        ("phase", {"phase": "call"}),
        ("phase", {"phase": None}),
        ("phase", {"phase": "Halted"}),
        ("expected", {"phase": "halted", "expected": 1}),
        ("colour", {"phase": "halted", "colour": 1}),
    ],
)
def test_unknown_phase_is_refused(phases: Market, field: str, sent: dict[str, object]) -> None:
    """A phase that does not exist is 422, with the field that is wrong."""
    symbol = phases.symbol()
    phases.set_instrument(symbol, {"reference_price": 50})
    answer = phases.admin.call("POST", f"/admin/stocks/{symbol}/phase", sent)
    expect_answer("the phase to be refused", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == [f"/{field}"]


def test_phase_is_set_by_the_admin_only(phases: Market) -> None:
    """Only the admin's key changes phases."""
    path = f"/admin/stocks/{phases.symbol()}/phase"
    answer = phases.trader().api.call("POST", path, {"phase": "halted"})
    expect_answer("a broker to be refused", answer, 403, "forbidden")


def test_day_order_shows_its_time_in_force(phases: Market) -> None:
    """A day order shows its time in force, has no other end, and expires when its symbol closes."""
    symbol, trader = phases.symbol(), phases.trader()
    phases.set_instrument(symbol, {"reference_price": 50})
    order = trader.buy(symbol, 5, 40, time_in_force="day", post_only=True)
    shown: dict[str, Any] = {"time_in_force": "day", "valid_until": None}
    trader.expect_order(order, "the day order to rest", status="open", **shown)
    answer = trader.api.replace(order, valid_until=_LATER)
    expect_answer("the day order to have no other end", answer, 409, "not_amendable")
    phases.set_phase(symbol, "closed")
    trader.expect_order(order, "the day order to expire", closed_reason="expired", **shown)


@pytest.mark.parametrize(
    ("field", "order"),
    [
        ("time_in_force", {"price": None, "order_type": "market", "time_in_force": "day"}),
        ("valid_until", {"price": 40, "time_in_force": "day", "valid_until": _LATER}),
        (
            "valid_until",
            {
                "price": None,
                "order_type": "stop",
                "stop_price": 60,
                "time_in_force": "day",
                "valid_until": _LATER,
            },
        ),
    ],
)
def test_contradicting_fields_of_a_day_order_are_refused(
    phases: Market, field: str, order: dict[str, Any]
) -> None:
    """A day order whose fields contradict each other is 422, with the field that is wrong."""
    symbol = phases.symbol()
    phases.set_instrument(symbol, {"reference_price": 50})
    answer = phases.trader().api.place("bid", symbol, 5, **order)
    expect_answer("the order to be refused", answer, 422, "invalid")
    assert f"/{field}" in [fault["pointer"] for fault in answer.body["errors"]]
