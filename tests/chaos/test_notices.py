"""What brokers were told against a small market, with one thing wrong."""

import msgspec
import pytest

from schemas.executions import Fill, OrderAccepted, Outcome
from tests.chaos.notices import Notices, Told, notices
from tests.chaos.reconciliation import Market

MAKER = OrderAccepted("m", "b1", "1", "PETR4", "ask", "limit", 100, 100, 1, 10)
TAKER = OrderAccepted(
    "t",
    "b2",
    "1",
    "PETR4",
    "bid",
    "limit",
    70,
    0,
    2,
    11,
    closed_reason="filled",
    fills=(Fill("x", 1, 10, 40, "m", "b1", 60), Fill("y", 2, 10, 30, "m", "b1", 30)),
)
MARKET = Market([], [Outcome(1, MAKER), Outcome(2_000, TAKER)], ["x", "y"])


def body(**changes: object) -> bytes:
    event = {
        "event": "trade_executed",
        "trade_id": "x",
        "order_id": "t",
        "symbol": "PETR4",
        "side": "bid",
        "price": 10,
        "quantity": 40,
        "order_remaining_quantity": 30,
        "executed_at": "1970-01-01T00:00:02.000Z",
    }
    return msgspec.json.encode(event | changes)


SECOND = {"trade_id": "y", "quantity": 30, "order_remaining_quantity": 0}
MAKERS = {"order_id": "m", "side": "ask"}
GOOD = [
    Told("b2", "x-bid", body()),
    Told("b2", "y-bid", body(**SECOND)),
    Told("b1", "x-ask", body(**MAKERS, order_remaining_quantity=60)),
    Told("b1", "y-ask", body(**SECOND | MAKERS | {"order_remaining_quantity": 30})),
    # At least once.
    Told("b2", "x-bid", body()),
]


def test_both_sides_of_each_fill_are_due_and_may_be_repeated() -> None:
    assert notices(MARKET, {"b1", "b2"}, GOOD) == Notices(sides=4, told=4, repeated=1, wrong=[])


def test_brokers_without_a_url_are_told_nothing() -> None:
    assert notices(MARKET, {"b2"}, [GOOD[0], GOOD[1]]).wrong == []
    assert len(notices(MARKET, {"b2"}, GOOD).wrong) == 2


@pytest.mark.parametrize("missing", range(1, 4))
def test_side_that_was_never_told_is_found(missing: int) -> None:
    told = [one for number, one in enumerate(GOOD) if number != missing]
    found = notices(MARKET, {"b1", "b2"}, told)
    assert (found.sides, found.told, len(found.wrong)) == (4, 3, 1)
    assert "was never told" in found.wrong[0]


@pytest.mark.parametrize(
    "told",
    [
        Told("b2", "x-ask", body(**MAKERS, order_remaining_quantity=60)),
        Told("b1", "x-bid", body()),
        Told("b2", "z-bid", body(trade_id="z")),
        Told("b2", "x-bid", body(price=11)),
        Told("b2", "x-bid", body() + b" "),
    ],
    ids=["side of another", "broker of another", "no trade", "wrong", "other words"],
)
def test_webhook_that_is_not_true_is_found(told: Told) -> None:
    assert len(notices(MARKET, {"b1", "b2"}, [*GOOD, told]).wrong) == 1
