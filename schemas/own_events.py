"""The own events of an outcome: to each broker concerned, one for each of its orders that changed.

Reader, sink and gateway number them alike, so this is the only place that decides which there are.
Pure.
"""

from collections.abc import Sequence
from typing import Final, Literal, assert_never

from msgspec import Struct, structs

from schemas.executions import (
    CommandRefused,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderRepeated,
    Outcome,
    PhaseSet,
    QuotasSet,
    RefusalCode,
    StopElected,
    Ticked,
)
from schemas.outcome_steps import ExecutedTrade, MakerPrevented, Step, Steps, Taking

# The effect on the order: `traded` as the resting side; `placed`, `amended` and `triggered` (a stop
# order that a trade elected) with its trades; `prevented`: it closed instead of trading with an
# order of its broker and document.
Cause = Literal[
    "placed",
    "amended",
    "triggered",
    "traded",
    "cancelled",
    "expired",
    "prevented",
    "refused",
    "repeated",
]

# A refused cancel is no event: it would show that another broker's order exists.
_OF_CANCELS: Final[frozenset[RefusalCode]] = frozenset(("order_not_open", "not_owner"))


class OwnEvent(Struct, frozen=True, gc=False):
    """A change of one order, or a placing that was refused or repeated.

    `trades`: those of this order by this command. `code` and `original_order_id` as in the outcome.
    """

    broker_id: str
    order_id: str
    cause: Cause
    trades: tuple[ExecutedTrade, ...] = ()
    code: RefusalCode | None = None
    original_order_id: str | None = None

    @property
    def has_order(self) -> bool:
        """False for a placing that brought no order."""
        return self.code is None and self.original_order_id is None


def own_events_of(outcome: Outcome, steps: Steps) -> Sequence[OwnEvent]:
    """The events in order: expiries, the command's own order, resting orders by their trades.

    `steps`: those of the outcome. An order has one event for each command, whatever happened to it:
    its state is that behind the command.
    """
    if len(steps) == 1 and not steps[0][1] and not outcome.expired:
        # Most commands change one order.
        event = _of_step(*steps[0])
        return () if event is None else (event,)
    events = [OwnEvent(each.broker_id, each.order_id, "expired") for each in outcome.expired]
    for step, trades in steps:
        event = _of_step(step, trades)
        if event is not None:
            events.append(event)
    if len(steps) == 1:
        _add_makers(events, steps[0][1])
        return events
    _add_makers(events, tuple(trade for _, trades in steps for trade in trades))
    return _merged(events)


def _of_step(step: Step, trades: tuple[ExecutedTrade, ...]) -> OwnEvent | None:
    match step:
        case OrderAccepted() | OrderAmended() | StopElected():
            return OwnEvent(step.broker_id, step.order_id, _cause_of(step), trades)
        case OrderCancelled():
            return OwnEvent(step.broker_id, step.order_id, "cancelled")
        case MakerPrevented():
            return OwnEvent(step.broker_id, step.order_id, "prevented")
        case OrderRepeated():
            original = step.original_order_id
            return OwnEvent(step.broker_id, step.order_id, "repeated", original_order_id=original)
        case CommandRefused():
            return _of_refusal(step)
        case Ticked() | QuotasSet() | InstrumentSet() | PhaseSet():
            return None
        case never:
            assert_never(never)


def _cause_of(step: Taking) -> Cause:
    if isinstance(step, OrderAccepted):
        return "placed"
    return "amended" if isinstance(step, OrderAmended) else "triggered"


def _of_refusal(step: CommandRefused) -> OwnEvent | None:
    if step.broker_id is None or step.order_id is None:
        return None
    # Only placings have no request id.
    if step.request is not None or step.code in _OF_CANCELS:
        return None
    original = step.original_order_id
    return OwnEvent(step.broker_id, step.order_id, "refused", (), step.code, original)


def _add_makers(events: list[OwnEvent], trades: tuple[ExecutedTrade, ...]) -> None:
    if len(trades) == 1:
        fill = trades[0].fill
        events.append(OwnEvent(fill.maker_broker_id, fill.maker_order_id, "traded", trades))
        return
    # An order may be taken from several times.
    makers: dict[str, list[ExecutedTrade]] = {}
    for trade in trades:
        makers.setdefault(trade.fill.maker_order_id, []).append(trade)
    for order_id, own in makers.items():
        events.append(OwnEvent(own[0].fill.maker_broker_id, order_id, "traded", tuple(own)))


def _merged(events: list[OwnEvent]) -> list[OwnEvent]:
    """One event for each order. Beside elections it may take, or leave, and trade as a maker."""
    found: dict[tuple[str, bool], OwnEvent] = {}
    for event in events:
        key = event.order_id, event.has_order
        first = found.get(key)
        trades = event.trades if first is None else (*first.trades, *event.trades)
        found[key] = structs.replace(event if first is None else first, trades=trades)
    return list(found.values())
