"""Own events from before the position at which the views start, so that clients can resume. Pure.

The views start behind these commands. The earlier states of the orders are computed backwards:
later fills are subtracted, and closed orders are opened. Then the commands are applied once more,
to views of these orders only. This gives the same events with the same numbers.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import merge

from msgspec import structs

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
    StopElected,
    Ticked,
)
from schemas.orders import OrderRecord
from schemas.outcome_steps import MakerPrevented, steps_of
from schemas.own_events import own_events_of
from services.reader.own_events import OwnEvents
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch

# Steps whose effect on an order can be computed backwards.
_REVERSIBLE = (
    OrderAccepted,
    OrderCancelled,
    OrderRepeated,
    CommandRefused,
    Ticked,
    QuotasSet,
    InstrumentSet,
    PhaseSet,
    StopElected,
    MakerPrevented,
)


class RecentOutcomes:
    """Outcomes of one partition in log order, without a gap, up to the position of the views."""

    def __init__(self, partition: int, first: int, outcomes: Sequence[Outcome]) -> None:
        self.partition = partition
        # Those behind the last one that cannot be computed backwards.
        begin, placed = 0, set[str]()
        for number, outcome in enumerate(outcomes, 1):
            for step, _ in steps_of(outcome):
                if isinstance(step, OrderAccepted):
                    placed.add(step.order_id)
                elif isinstance(step, OrderAmended) and step.order_id in placed:
                    # Its first values are known.
                    continue
                if not isinstance(step, _REVERSIBLE):
                    begin, placed = number, set()
        self.first = first + begin
        self.outcomes = outcomes[begin:]

    def batches(self) -> Iterable[tuple[int, int, Batch]]:
        """A batch for each outcome, with its time and partition."""
        for command, outcome in enumerate(self.outcomes, self.first):
            yield outcome.time, self.partition, Batch(self.partition, command, (outcome,))

    def changed(self) -> set[str]:
        """The ids of the orders from before that these commands changed."""
        ids: set[str] = set()
        placed: set[str] = set()
        for outcome in self.outcomes:
            for event in own_events_of(outcome, steps_of(outcome)):
                if event.cause == "placed":
                    placed.add(event.order_id)
                elif event.has_order:
                    ids.add(event.order_id)
        return ids - placed

    def progress(self) -> tuple[Counter[str], Counter[str], Counter[str], set[str]]:
        """Quantity and value by order that these commands filled, the numbers of fills, and the
        stops they elected."""
        filled: Counter[str] = Counter()
        value: Counter[str] = Counter()
        fills: Counter[str] = Counter()
        elected: set[str] = set()
        for step, trades in (each for outcome in self.outcomes for each in steps_of(outcome)):
            if isinstance(step, StopElected):
                elected.add(step.order_id)
            for trade in trades:
                for order_id in (trade.taker.order_id, trade.fill.maker_order_id):
                    filled[order_id] += trade.fill.quantity
                    value[order_id] += trade.fill.quantity * trade.fill.price
                    fills[order_id] += 1
        return filled, value, fills, elected


def restored(
    views: Views, recent: Sequence[RecentOutcomes], closed: Mapping[str, OrderRecord]
) -> OwnEvents:
    """The events of these outcomes, numbered to the numbers of `views`.

    `closed`: the changed orders that are not in the views, in their final state. Raises
    BrokenLogError if the outcomes contradict them.
    """
    earlier = Views()
    for part in recent:
        filled, value, fills, elected = part.progress()
        for order_id in sorted(part.changed()):
            record = views.order(order_id) or closed.get(order_id)
            if record is not None:
                before = structs.replace(
                    record,
                    remaining_quantity=record.remaining_quantity + filled[order_id],
                    filled_value=record.filled_value - value[order_id],
                    displayed_quantity=_any_slice(record),
                    closed_reason=None,
                    triggered_at=None if order_id in elected else record.triggered_at,
                    trades_count=record.trades_count - fills[order_id],
                    trades=[],
                )
                earlier.restore_symbol(record.symbol, part.partition, 0)
                earlier.restore_order(before)
    numbers = _numbers_before(views, recent)
    for (broker_id, partition), number in numbers.items():
        earlier.own_events.restore(broker_id, partition, number)
    for _, _, batch in merge(*(part.batches() for part in recent), key=lambda each: each[:2]):
        earlier.apply(batch)
    return earlier.own_events


def _any_slice(record: OrderRecord) -> int | None:
    """A quantity that the book may have shown of an order: its first fill has the true one."""
    display = record.display_quantity
    return None if display is None else display or record.quantity


def _numbers_before(views: Views, recent: Sequence[RecentOutcomes]) -> dict[tuple[str, int], int]:
    numbers = views.own_events.all_numbers()
    for part in recent:
        for outcome in part.outcomes:
            for event in own_events_of(outcome, steps_of(outcome)):
                numbers[event.broker_id, part.partition] -= 1
    return numbers
