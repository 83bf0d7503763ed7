"""Applies the recorded outcomes of one partition to every order, by separate rules.

Pure, and independent of the engine: the outcomes must be consistent in themselves. Keeps open
orders, and closed ones until `take_closed`.
"""

from collections.abc import Sequence
from typing import assert_never

from msgspec import Struct, structs

from schemas.executions import (
    CommandRefused,
    Expired,
    Fill,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    OrderRepeated,
    Outcome,
    PhaseSet,
    QuotasSet,
    StopElected,
    Ticked,
)
from schemas.ids import partition_of
from schemas.outcome_steps import ExecutedTrade, MakerPrevented, Taking, steps_of
from schemas.units import ClosedReason, Side
from services.audit.amendments import broken_amendment, remaining_before
from services.audit.conditions import is_day
from services.audit.report import AuditReport


class OrderState(Struct):
    """An order after the outcomes so far."""

    accepted: OrderAccepted
    offset: int
    remaining: int
    filled: int
    filled_value: int
    created_at: int
    updated_at: int
    closed_reason: ClosedReason | None
    triggered_at: int | None = None
    displayed: int | None = None
    """The part of an open iceberg order that the book shows."""
    trades_count: int = 0
    carried: bool = False
    """Open where the audit begins: `accepted` then has what was left of the order there."""
    end: int | None = None
    """Time at which the symbol of a day order closed, in milliseconds; None: it did not."""

    @property
    def until(self) -> int | None:
        """From when on the order is due; None: it is not yet known."""
        return self.accepted.valid_until if self.end is None else self.end


class TradeState(Struct, frozen=True):
    """A trade of an outcome; `offset` and `index` locate it within the partition.

    `taker_remaining`: the remaining quantity of the taker's order after it.
    """

    fill: Fill
    taker: Taking
    taker_remaining: int
    time: int
    offset: int
    index: int


class Totals(Struct):
    """Sums of one partition or of all: cents by broker, shares bought and sold by symbol, and how
    often each symbol was ordered. `partitions`: the first partition of each symbol."""

    cash: dict[str, int] = {}
    bought: dict[str, int] = {}
    sold: dict[str, int] = {}
    ordered: dict[str, int] = {}
    partitions: dict[str, int] = {}

    def order(self, state: OrderState) -> None:
        """Count an order in its final state, or in its state at the end of the log."""
        side = self.bought if state.accepted.side == "bid" else self.sold
        symbol = state.accepted.symbol
        side[symbol] = side.get(symbol, 0) + state.accepted.quantity - state.remaining

    def pays(self, broker: str, side: Side, value: int) -> None:
        """Count a broker's purchase (bid) or sale (ask) in cents."""
        self.cash[broker] = self.cash.get(broker, 0) + (-value if side == "bid" else value)

    def add(self, partition: int, sums: "Totals", report: AuditReport) -> None:
        """Add the sums of the next partition, and report its symbols that trade elsewhere too."""
        for mine, more in (
            (self.cash, sums.cash),
            (self.bought, sums.bought),
            (self.sold, sums.sold),
        ):
            for name, number in more.items():
                mine[name] = mine.get(name, 0) + number
        for symbol, orders in sums.ordered.items():
            home = self.partitions.setdefault(symbol, partition)
            if home != partition:
                report["partition"].fail(f"{symbol} trades on {home} and on {partition}", orders)

    def check(self, report: AuditReport) -> None:
        """Check the sums after all partitions."""
        symbols = self.bought.keys() | self.sold.keys()
        report["bought_sold"].checked += len(symbols)
        for symbol in sorted(symbols):
            bought, sold = self.bought.get(symbol, 0), self.sold.get(symbol, 0)
            if bought != sold:
                report["bought_sold"].fail(f"{symbol}: bought {bought}, sold {sold}")
        report["cash"].checked += len(self.cash)
        total = sum(self.cash.values())
        if total:
            report["cash"].fail(f"the sum is {total} cents")


class Ledger:
    """The ledger of one partition. `trades` grows until `take_trades`."""

    def __init__(self, partition: int, totals: Totals, report: AuditReport) -> None:
        self.partition = partition
        self.open: dict[str, OrderState] = {}
        self.trades: list[TradeState] = []
        self._closed: list[OrderState] = []
        self._totals = totals
        self._quantities = report["quantities"]
        self._validity = report["validity"]
        self._final = report["final_state"]
        self._amendments = report["amendments"]
        self._partition = report["partition"]

    def apply(self, outcome: Outcome, offset: int) -> None:
        """Apply the outcome of the command at `offset`."""
        for expired in outcome.expired:
            self._expired(expired, outcome.time, offset)
        for step, trades in steps_of(outcome):
            match step:
                case OrderAccepted():
                    self._accepted(step, trades, outcome.time, offset)
                case OrderAmended():
                    self._amended(step, trades, outcome.time, offset)
                case StopElected():
                    self._elected(step, trades, outcome.time, offset)
                case OrderCancelled():
                    self._left(step, "cancelled", outcome.time, offset)
                case MakerPrevented():
                    self._left(step, "self_trade", outcome.time, offset)
                case PhaseSet():
                    self._phase_set(step, outcome.time)
                case OrderRepeated() | CommandRefused() | Ticked() | QuotasSet() | InstrumentSet():
                    pass
                case never:
                    assert_never(never)

    def carry(self, event: OrderEntered, offset: int, time: int, shown: int | None = None) -> None:
        """Take over an order that is open where the audit begins. `shown`: see `displayed`."""
        left, end = event.remaining_quantity, None
        if is_day(event):
            # In snapshots a day order has the time at which its symbol was closed.
            end, event = event.valid_until, structs.replace(event, valid_until=None)
        state = OrderState(event, offset, left, 0, 0, time, time, None, carried=True, end=end)
        state.displayed = shown
        self.open[event.order_id] = state

    def take_closed(self) -> list[OrderState]:
        """Return the orders closed since the last call."""
        taken, self._closed = self._closed, []
        return taken

    def take_trades(self) -> list[TradeState]:
        """Return the trades since the last call."""
        taken, self.trades = self.trades, []
        return taken

    def finish(self) -> None:
        """End of the partition: count orders that are still open."""
        for state in self.open.values():
            self._totals.order(state)

    def _phase_set(self, event: PhaseSet, time: int) -> None:
        """End the day orders of the symbol, if this closes it."""
        if event.phase != "closed" or event.previous == "closed":
            return
        for state in self.open.values():
            if state.accepted.symbol == event.symbol and is_day(state.accepted):
                state.end = time if state.end is None else state.end

    def _accepted(
        self, event: OrderAccepted, trades: Sequence[ExecutedTrade], time: int, offset: int
    ) -> None:
        self._placed(event)
        self._final.checked += 1
        self._quantities.checked += 1
        where = f"{self.partition}@{offset} order {event.order_id}"
        state = OrderState(event, offset, event.quantity, 0, 0, time, time, event.closed_reason)
        if isinstance(event, OrderEntered):
            state.displayed = event.displayed_quantity
        if event.order_id in self.open:
            self._final.fail(f"{where}: accepted while an order of this id is open")
        self._took(state, event, trades, (time, offset))

    def _elected(
        self, step: StopElected, trades: Sequence[ExecutedTrade], time: int, offset: int
    ) -> None:
        where = f"{self.partition}@{offset} order {step.order_id}"
        self._quantities.checked += 1
        state = self.open.pop(step.order_id, None)
        if state is None:
            self._final.fail(f"{where}: elected, although it is not open")
            return
        if state.triggered_at is not None:
            self._final.fail(f"{where}: elected twice")
        state.triggered_at = state.updated_at = time
        state.closed_reason = step.closed_reason
        self._took(state, step, trades, (time, offset))

    def _took(
        self,
        state: OrderState,
        step: Taking,
        trades: Sequence[ExecutedTrade],
        at: tuple[int, int],
    ) -> None:
        """Apply the trades of an order that took, and how it ended. `at`: time and offset."""
        time, offset = at
        where = f"{self.partition}@{offset} order {step.order_id}"
        for trade in trades:
            self._fill(state, trade.fill, time, where)
            left = state.remaining
            self.trades.append(TradeState(trade.fill, step, left, time, offset, trade.index))
        self._look_at_left(state, step, where)
        until = state.until
        dead = until is not None and until <= time
        if dead != (step.closed_reason == "expired"):
            self._validity.fail(
                f"{where} became {step.closed_reason or 'open'} at {time}, valid until {until}"
            )
        if step.closed_reason is None:
            self.open[step.order_id] = state
        else:
            self._close(state)

    def _amended(
        self, event: OrderAmended, trades: Sequence[ExecutedTrade], time: int, offset: int
    ) -> None:
        where = f"{self.partition}@{offset} order {event.order_id}"
        state = self.open.get(event.order_id)
        self._amendments.checked += 1
        if state is None:
            self._final.fail(f"{where}: amended, although it is not open")
            return
        shown = state.remaining if state.displayed is None else state.displayed
        until = event.valid_until if state.end is None else state.end
        broken = broken_amendment(
            state.accepted,
            (state.remaining, shown),
            event,
            is_due=until is not None and until <= time,
        )
        if broken is not None:
            self._amendments.fail(f"{where}: {broken}")
        quantity = event.quantity or state.accepted.quantity
        if state.carried:
            # Fills before the beginning of the audit are unknown.
            quantity = state.filled + remaining_before(event)
        state.accepted = structs.replace(
            state.accepted, quantity=quantity, price=event.price, valid_until=event.valid_until
        )
        if isinstance(state.accepted, OrderEntered):
            state.accepted = structs.replace(
                state.accepted,
                display_quantity=event.display_quantity,
                stop_price=event.stop_price or state.accepted.stop_price,
            )
        state.displayed = event.displayed_quantity
        state.remaining = quantity - state.filled
        state.updated_at = time
        for trade in trades:
            self._fill(state, trade.fill, time, where)
            left = state.remaining
            self.trades.append(TradeState(trade.fill, event, left, time, offset, trade.index))
        self._look_at_left(state, event, where)
        state.closed_reason = event.closed_reason
        if event.closed_reason is not None:
            self._close(self.open.pop(event.order_id))

    def _look_at_left(self, state: OrderState, event: Taking, where: str) -> None:
        if state.remaining != event.remaining_quantity:
            self._quantities.fail(
                f"{where}: of {state.accepted.quantity}, {state.filled} filled, "
                f"{event.remaining_quantity} said to remain"
            )
            state.remaining = event.remaining_quantity
        if (event.remaining_quantity == 0) != (event.closed_reason == "filled"):
            self._quantities.fail(f"{where}: {event.closed_reason}, {state.remaining} remain")

    def _placed(self, event: OrderAccepted) -> None:
        """A symbol must trade on one partition (`Totals.add`), and an order id must name it."""
        self._partition.checked += 1
        ordered = self._totals.ordered
        ordered[event.symbol] = ordered.get(event.symbol, 0) + 1
        if partition_of(event.order_id) not in (None, self.partition):
            self._partition.fail(f"order {event.order_id} is on partition {self.partition}")

    def _fill(self, taker: OrderState, fill: Fill, time: int, where: str) -> None:
        event = taker.accepted
        value = fill.price * fill.quantity
        taker.remaining -= fill.quantity
        taker.filled += fill.quantity
        taker.filled_value += value
        taker.trades_count += 1
        self._totals.pays(event.broker_id, event.side, value)
        self._validity.checked += 1
        if event.valid_until is not None and event.valid_until <= time:
            self._validity.fail(f"{where} filled at {time}, valid until {event.valid_until}")
        maker = self.open.get(fill.maker_order_id)
        if maker is None:
            self._final.fail(f"{where} trades with {fill.maker_order_id}, which is not open")
            return
        self._maker(maker, fill, time, where)

    def _maker(self, maker: OrderState, fill: Fill, time: int, where: str) -> None:
        resting = maker.accepted
        if resting.valid_until is not None and resting.valid_until <= time:
            self._validity.fail(
                f"{where}: {resting.order_id} filled at {time}, valid until {resting.valid_until}"
            )
        maker.remaining -= fill.quantity
        maker.filled += fill.quantity
        maker.filled_value += fill.price * fill.quantity
        maker.trades_count += 1
        maker.updated_at = time
        maker.displayed = fill.maker_displayed_quantity
        self._totals.pays(resting.broker_id, resting.side, fill.price * fill.quantity)
        recorded = (fill.maker_remaining_quantity, fill.maker_broker_id, fill.price)
        kept = (maker.remaining, resting.broker_id, resting.price)
        if recorded != kept:
            self._quantities.fail(f"{where}: maker {resting.order_id} {recorded}, expected {kept}")
            maker.remaining = fill.maker_remaining_quantity
        if maker.remaining <= 0:
            maker.closed_reason = "filled"
            self._close(self.open.pop(resting.order_id))

    def _expired(self, event: Expired, time: int, offset: int) -> None:
        state = self.open.get(event.order_id)
        until = None if state is None else state.until
        if state is not None and (until is None or until > time):
            self._validity.fail(
                f"{self.partition}@{offset}: {event.order_id} expired at {time}, "
                f"valid until {until}"
            )
        self._left(event, "expired", time, offset)

    def _left(
        self,
        event: Expired | OrderCancelled | MakerPrevented,
        reason: ClosedReason,
        time: int,
        offset: int,
    ) -> None:
        where = f"{self.partition}@{offset} order {event.order_id}"
        state = self.open.pop(event.order_id, None)
        if state is None:
            self._final.fail(f"{where}: {reason}, although it is not open")
            return
        if state.remaining != event.remaining_quantity:
            self._quantities.fail(
                f"{where}: {reason} with {event.remaining_quantity}, {state.remaining} were left"
            )
            state.remaining = event.remaining_quantity
        state.closed_reason = reason
        state.displayed = None
        state.updated_at = time
        self._close(state)

    def _close(self, state: OrderState) -> None:
        if state.filled + state.remaining != state.accepted.quantity:
            self._quantities.fail(
                f"order {state.accepted.order_id}: {state.accepted.quantity} entered, "
                f"{state.filled} filled, {state.remaining} {state.closed_reason}"
            )
        self._totals.order(state)
        self._closed.append(state)
