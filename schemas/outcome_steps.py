"""The steps of an outcome in order, each with the trades of the order that took in it.

Every program that derives something from trades begins here, so that none of them overlooks a step
that may trade. Pure.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from schemas.executions import (
    Effect,
    Event,
    Fill,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    OrdersCancelled,
    Outcome,
    SingleEvent,
    StopElected,
)

# What an outcome may consist of, and the steps in which an order may take from the book.
Step = Effect | SingleEvent
Taking = OrderAccepted | OrderAmended | StopElected


class ExecutedTrade(Struct, frozen=True, gc=False):
    """One trade. `taker` is the step of the order that took; its side is the aggressor's.

    `taker_remaining`: what was left of that order after the trade. `index`: the position among all
    trades of the outcome, from 0, as in public records and trade ids.
    """

    fill: Fill
    taker: Taking
    taker_remaining: int
    index: int


# In order, each with its trades in order.
Steps = tuple[tuple[Step, Sequence[ExecutedTrade]], ...]


def steps_of(outcome: Outcome) -> Steps:
    """The steps behind the expiries of an outcome, in order, each with its trades in order.

    Orders that were cancelled together are a step each.
    """
    event = outcome.event
    if not outcome.before and not outcome.after and not isinstance(event, OrdersCancelled):
        if not isinstance(event, Taking) or not event.fills:
            return ((event, ()),)
        return ((event, _trades(event, 0)),)
    steps: list[tuple[Step, Sequence[ExecutedTrade]]] = []
    index = 0
    for step in (*outcome.before, *_singly(event), *outcome.after):
        trades = _trades(step, index) if isinstance(step, Taking) else ()
        index += len(trades)
        steps.append((step, trades))
    return tuple(steps)


def _singly(event: Event) -> Iterable[SingleEvent]:
    if not isinstance(event, OrdersCancelled):
        return (event,)
    return [
        OrderCancelled(
            each.order_id,
            event.broker_id,
            each.symbol,
            each.remaining_quantity,
            each.book_sequence,
        )
        for each in event.orders
    ]


def is_parked(event: Taking) -> bool:
    """True if an accepted order waits outside the book for its stop price."""
    has_stop = isinstance(event, OrderEntered) and event.stop_price is not None
    return has_stop and event.closed_reason is None


def trades_of(outcome: Outcome) -> Sequence[ExecutedTrade]:
    """All trades of an outcome, in order."""
    steps = steps_of(outcome)
    if len(steps) == 1:
        return steps[0][1]
    return [trade for _, trades in steps for trade in trades]


def _trades(taker: Taking, index: int) -> list[ExecutedTrade]:
    remaining = taker.remaining_quantity + sum(fill.quantity for fill in taker.fills)
    trades: list[ExecutedTrade] = []
    for fill in taker.fills:
        remaining -= fill.quantity
        trades.append(ExecutedTrade(fill, taker, remaining, index))
        index += 1
    return trades
