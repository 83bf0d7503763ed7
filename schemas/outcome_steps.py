"""The steps of an outcome in order, each with the trades of the order that took in it.

Every program that derives data from trades uses this module, so that no step with trades is
overlooked. Pure.
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
    Prevented,
    SingleEvent,
    StopElected,
)


class MakerPrevented(Struct, frozen=True, gc=False):
    """An order closed, with `remaining_quantity` not filled, instead of trading with an order of
    its broker and document. It has no event of its own: that of the taker contains it."""

    order_id: str
    broker_id: str
    symbol: str
    remaining_quantity: int
    book_sequence: int


# Parts of an outcome, and those parts in which an order may take from the book.
Step = Effect | SingleEvent | MakerPrevented
Taking = OrderAccepted | OrderAmended | StopElected
_Preventing = OrderEntered | OrderAmended | StopElected


class ExecutedTrade(Struct, frozen=True, gc=False):
    """One trade. `taker` is the step of the order that took; its side is the aggressor's.

    `taker_remaining`: its remaining quantity after the trade. `index`: the position among all
    trades of the outcome, from 0, as in public records and trade ids.
    """

    fill: Fill
    taker: Taking
    taker_remaining: int
    index: int


# In order, each with its trades in order.
Steps = tuple[tuple[Step, tuple[ExecutedTrade, ...]], ...]


def steps_of(outcome: Outcome) -> Steps:
    """The steps behind the expiries of an outcome, in order, each with its trades in order.

    Orders that were cancelled together are a step each. Behind an order that took come the own
    orders that closed instead of trading with it.
    """
    event = outcome.event
    is_alone = not outcome.before and not outcome.after
    if is_alone and not isinstance(event, OrdersCancelled) and not prevented_by(event):
        if not isinstance(event, Taking) or not event.fills:
            return ((event, ()),)
        return ((event, _trades(event, 0)),)
    steps: list[tuple[Step, tuple[ExecutedTrade, ...]]] = []
    index = 0
    for step in (*outcome.before, *_singly(event), *outcome.after):
        trades = _trades(step, index) if isinstance(step, Taking) else ()
        index += len(trades)
        steps.append((step, trades))
        steps += [(each, ()) for each in _closed_makers(step)]
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


def prevented_by(step: Step) -> Sequence[Prevented]:
    """The orders with which an order that took did not trade, because they are its own."""
    # Plain orders first: most outcomes are theirs.
    if type(step) is OrderAccepted or not isinstance(step, _Preventing):
        return ()
    return step.prevented


def _closed_makers(step: Step) -> list[MakerPrevented]:
    if not isinstance(step, Taking):
        return []
    return [
        MakerPrevented(
            each.maker_order_id, step.broker_id, step.symbol, each.quantity, step.book_sequence
        )
        for each in prevented_by(step)
        if each.quantity
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


def _trades(taker: Taking, index: int) -> tuple[ExecutedTrade, ...]:
    # Own events keep it: the garbage collector passes over a tuple of such objects, not a list.
    fills, remaining = taker.fills, taker.remaining_quantity
    if len(fills) == 1:
        return (ExecutedTrade(fills[0], taker, remaining, index),)
    trades: list[ExecutedTrade] = []
    for number in range(len(fills) - 1, -1, -1):
        trades.append(ExecutedTrade(fills[number], taker, remaining, index + number))
        remaining += fills[number].quantity
    return tuple(reversed(trades))
