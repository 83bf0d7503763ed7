"""Order conditions"""

from collections.abc import Sequence
from typing import Any

import pytest

from conformance.api import Api
from conformance.order_types import SCENARIOS
from conformance.scenarios import (
    Action,
    Cancel,
    Entry,
    MassCancel,
    PhaseChange,
    Replace,
    Result,
    Scenario,
)
from conformance.trader import Market, Trader, expect_answer

_ACCEPTED = 201
_REFUSED = 409
_INVALID = 422


class HttpExchange:
    """Plays a scenario on a new symbol of the exchange under judgement, with new brokers."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._symbol = market.symbol()
        self._traders: dict[str, Trader] = {}
        self._refused: dict[str, str] = {}
        # Ids by name, in the order of arrival.
        self._ids: dict[str, str] = {}

    def play(self, actions: Sequence[Action]) -> Result:
        """Play the actions one after the other."""
        for action in actions:
            if isinstance(action, Entry):
                self._place(action)
            elif isinstance(action, Replace):
                self._replace(action)
            elif isinstance(action, Cancel):
                self._trader(action.name).cancel(self._ids[action.name])
            elif isinstance(action, MassCancel):
                self._cancel_all(action)
            elif isinstance(action, PhaseChange):
                self._set_phase(action)
            else:
                self._market.set_instrument(self._symbol, action.fields)
        orders = {name: self._trader(name).order(order) for name, order in self._ids.items()}
        states = {name: _state(order) for name, order in orders.items()}
        bids, asks = ([row[1::-1] for row in self._levels(side)] for side in ("bids", "asks"))
        return Result(_trades(orders), bids, asks, states | self._refused)

    def _trader(self, name: str) -> Trader:
        if name[0] not in self._traders:
            self._traders[name[0]] = self._market.trader(f"Trader {name[0]}")
        return self._traders[name[0]]

    def _api(self, name: str) -> Api:
        return self._trader(name).api

    def _place(self, order: Entry) -> None:
        api = self._api(order.name)
        more = dict(order.conditions)
        if "stop_price" in more:
            more["order_type"] = "stop" if order.price is None else "stop_limit"
        answer = api.place(order.side, self._symbol, order.quantity, order.price, **more)
        if answer.status in (_REFUSED, _INVALID):
            faults = answer.body.get("errors", [])
            codes = [fault["code"] for fault in faults if "code" in fault]
            self._refused[order.name] = next(iter(codes), answer.body["code"])
            return
        expect_answer("the order to be accepted", answer, _ACCEPTED)
        self._ids[order.name] = answer.body["order_id"]
        self._trader(order.name).order(answer.body["order_id"])

    def _replace(self, action: Replace) -> None:
        answer = self._api(action.name).replace(self._ids[action.name], **action.values)
        if answer.status == _REFUSED:
            self._refused[f"{action.name}=>"] = answer.body["code"]
            return
        expect_answer("the values to be replaced", answer, 200)

    def _cancel_all(self, action: MassCancel) -> None:
        side = "" if action.side is None else f"&side={action.side}"
        path = f"/orders/cancel-all?symbol={self._symbol}{side}"
        answer = self._api(action.broker).call("POST", path)
        expect_answer("the orders to be cancelled", answer, 200)

    def _set_phase(self, action: PhaseChange) -> None:
        self._market.set_phase(self._symbol, action.phase)
        if action.phase == "closed":
            for name, order_id in self._ids.items():
                trader = self._trader(name)
                if trader.order(order_id)["time_in_force"] == "day":
                    trader.settled(order_id)

    def _levels(self, side: str) -> list[tuple[int, int, int]]:
        trader = next(iter(self._traders.values()))
        return trader.levels(self._symbol, side)


def _trades(orders: dict[str, dict[str, Any]]) -> list[tuple[str, str, int, int]]:
    """The trades among these orders, in order: ids of trades are in the order of execution."""
    found: dict[str, tuple[int, int]] = {}
    parties: dict[str, dict[str, str]] = {}
    for name, order in orders.items():
        for trade in order["trades"]:
            found[trade["trade_id"]] = (trade["quantity"], trade["price"])
            parties.setdefault(trade["trade_id"], {})[order["side"]] = name
    return [(parties[one]["bid"], parties[one]["ask"], *found[one]) for one in sorted(found)]


def _state(order: dict[str, object]) -> str:
    if order["closed_reason"] == "filled":
        return "filled"
    return f"{order['closed_reason'] or 'open'} {order['remaining_quantity']}"


@pytest.fixture(scope="session")
def conditions(request: pytest.FixtureRequest, market: Market) -> Market:
    """The exchange, if it has order conditions; skips if it refuses their fields."""
    trader = market.trader()
    answer = trader.api.place("bid", market.symbol(), 1, 1, time_in_force="ioc")
    if answer.status == _INVALID:
        # A fresh exchange has them.
        assert request.config.getoption("url"), "a fresh exchange refuses order conditions"
        pytest.skip("this exchange offers no order conditions")
    return market


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.rule)
def test_order_type(conditions: Market, scenario: Scenario) -> None:
    """An order with conditions"""
    scenario.check(HttpExchange(conditions))


def test_order_shows_its_conditions(conditions: Market) -> None:
    """An order shows its time in force, whether it is post-only, and its minimum quantity."""
    symbol, trader = conditions.symbol(), conditions.trader()
    what = "the order to show its conditions"
    plain = trader.buy(symbol, 5, 50)
    shown = {"time_in_force": "gtc", "post_only": False, "minimum_quantity": None}
    trader.expect_order(plain, what, **shown)
    trader.expect_order(
        trader.buy(symbol, 5, 50, post_only=True), what, **shown | {"post_only": True}
    )
    trader.expect_order(trader.sell(symbol, 1), what, **shown | {"time_in_force": "ioc"})
    order = trader.buy(symbol, 5, 50, time_in_force="ioc", minimum_quantity=3)
    trader.expect_order(order, what, time_in_force="ioc", post_only=False, minimum_quantity=3)


def test_repeated_order_with_conditions_is_the_same_order(conditions: Market) -> None:
    """A repeated client_order_id with other conditions is another order: 409."""
    symbol, trader = conditions.symbol(), conditions.trader()
    more = {"client_order_id": "1", "post_only": True}
    first = expect_answer("a new order", trader.api.place("bid", symbol, 5, 50, **more), 201)
    again = expect_answer("the same order", trader.api.place("bid", symbol, 5, 50, **more), 200)
    assert again.body["order_id"] == first.body["order_id"]
    for other in ({}, {"time_in_force": "ioc"}, {"minimum_quantity": 1}):
        sent = {"client_order_id": "1"} | other
        answer = trader.api.place("bid", symbol, 5, 50, **sent)
        expect_answer("the id to belong to another order", answer, 409, "client_order_id_reused")


def test_refused_post_only_order_leaves_its_client_order_id_free(conditions: Market) -> None:
    """A client_order_id may be sent again after a refusal of a post-only order."""
    symbol, trader = conditions.symbol(), conditions.trader()
    offer = trader.sell(symbol, 5, 50)
    more = {"client_order_id": "1", "post_only": True}
    refused = trader.api.place("bid", symbol, 5, 50, **more)
    expect_answer("the post-only order to be refused", refused, 409, "post_only_would_trade")
    trader.cancel(offer)
    expect_answer("a new order", trader.api.place("bid", symbol, 5, 50, **more), 201)


_LATER = "2100-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("field", "order"),
    [
        ("time_in_force", {"price": None, "time_in_force": "gtc"}),
        ("valid_until", {"time_in_force": "ioc", "valid_until": _LATER}),
        ("valid_until", {"time_in_force": "fok", "valid_until": _LATER}),
        ("post_only", {"price": None, "post_only": True}),
        ("post_only", {"time_in_force": "ioc", "post_only": True}),
        ("post_only", {"time_in_force": "fok", "post_only": True}),
        ("minimum_quantity", {"time_in_force": "fok", "minimum_quantity": 5}),
        ("minimum_quantity", {"post_only": True, "minimum_quantity": 5}),
        ("minimum_quantity", {"minimum_quantity": 6}),
        ("minimum_quantity", {"minimum_quantity": 0}),
        ("minimum_quantity", {"minimum_quantity": True}),
        ("minimum_quantity", {"minimum_quantity": 1_000_000_001}),
        ("time_in_force", {"time_in_force": "days"}),
        ("time_in_force", {"time_in_force": 1}),
        ("post_only", {"post_only": "yes"}),
        ("post_only", {"post_only": None}),
    ],
)
def test_contradicting_conditions_are_refused(
    conditions: Market, field: str, order: dict[str, object]
) -> None:
    """Conditions that contradict each other are 422, with the field that is wrong."""
    trader = conditions.trader()
    sent: dict[str, object] = {"price": 50} | order
    price = sent.pop("price")
    assert price is None or isinstance(price, int)
    answer = trader.api.place("bid", conditions.symbol(), 5, price, **sent)
    expect_answer("the order to be refused", answer, _INVALID, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == [f"/{field}"]
