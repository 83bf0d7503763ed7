"""The trades of an outcome: positions, sides and what is left of the order that took."""

from schemas.executions import (
    CancelledOrder,
    Fill,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    Outcome,
    Ticked,
)
from schemas.outcome_steps import steps_of, trades_of


def fill(sequence: int, quantity: int) -> Fill:
    return Fill(f"t{sequence}", sequence, 50, quantity, f"m{sequence}", "ann", 0)


def accepted(*fills: Fill) -> OrderAccepted:
    left = 9 - sum(one.quantity for one in fills)
    return OrderAccepted("a1", "bob", "1", "PETR4", "bid", "limit", 9, left, 1, 50, fills=fills)


def test_trades_of_outcome_have_positions_and_what_was_left_after_each() -> None:
    event = accepted(fill(1, 3), fill(2, 4))
    trades = trades_of(Outcome(5, event))
    assert [(one.index, one.fill.sequence, one.taker_remaining) for one in trades] == [
        (0, 1, 6),
        (1, 2, 2),
    ]
    assert all(one.taker is event for one in trades)


def test_steps_of_outcome_without_trade_are_its_event_alone() -> None:
    for event in (Ticked(), accepted()):
        assert steps_of(Outcome(5, event)) == ((event, ()),)
        assert not trades_of(Outcome(5, event))


def test_orders_cancelled_together_are_a_step_each_in_their_order() -> None:
    orders = (CancelledOrder("a1", "PETR4", 5, 7), CancelledOrder("a2", "VALE3", 2, 9))
    event = OrdersCancelled("ann", "0" * 16, orders, more=True)
    assert steps_of(Outcome(5, event)) == (
        (OrderCancelled("a1", "ann", "PETR4", 5, 7), ()),
        (OrderCancelled("a2", "ann", "VALE3", 2, 9), ()),
    )
    assert not trades_of(Outcome(5, event))
    assert steps_of(Outcome(5, OrdersCancelled("ann", "0" * 16))) == ()
