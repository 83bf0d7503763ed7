"""Changes of the tables by a run of outcomes: new orders, changed ones, trades, sums.

Pure. An order that opens and closes within one run is one new row in its final state.
"""

from collections.abc import Sequence
from typing import assert_never

from msgspec import Struct, structs

from schemas.candles import INTERVALS_MS, Candle, Interval, start_of
from schemas.executions import (
    CommandRefused,
    Expired,
    Fill,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderRepeated,
    PhaseSet,
    QuotasSet,
    StopElected,
    Ticked,
)
from schemas.instruments import Phase
from schemas.orders import OrderRecord
from schemas.outcome_steps import ExecutedTrade, MakerPrevented, Step, Taking, steps_of
from schemas.own_events import OwnEvent, own_events_of
from schemas.units import ClosedReason, buyer_and_seller
from services.runtime.kafka.execution_filter import Batch

MINUTE_MS = INTERVALS_MS["1m"]


class NewOrder(Struct, frozen=True):
    """An order accepted in this run, in its state at the run's end."""

    record: OrderRecord
    partition: int
    command_offset: int


class OrderChange(Struct):
    """Change of an order that an earlier run accepted.

    `filled_value` and `trades_count` are what this run adds; the other fields are the state at the
    run's end. Of the fields behind `closed_reason`, None stays what the row has.
    """

    remaining_quantity: int
    updated_at: int
    filled_value: int = 0
    trades_count: int = 0
    closed_reason: ClosedReason | None = None
    price: int | None = None
    quantity: int | None = None
    valid_until: int | None = None
    triggered_at: int | None = None
    stop_price: int | None = None
    display_quantity: int | None = None
    displayed_quantity: int | None = None


class NewTrade(Struct, frozen=True, gc=False):
    """One trade; `index` counts within its outcome. `taker_remaining`: after this trade."""

    fill: Fill
    taker: Taking
    taker_remaining: int
    time: int
    partition: int
    command_offset: int
    index: int


class BalanceChange(Struct, gc=False):
    """Change of a broker's shares and cents from one symbol by a run."""

    quantity: int = 0
    value: int = 0


class Rows:
    """Applies batches in log order. `newest_time`: of the last outcome, None before any.

    `book_sequences` by partition and symbol and `clocks` by partition: at the run's end.
    `balances` by broker and symbol: the run's change; only a starting reader uses the stored sums.
    `instruments` by partition and symbol: those that the run sets, as of the last time.
    `minutes` by partition, symbol and start: the run's part of each candle of a minute.
    `own_events` by partition and broker: how many the run added.
    """

    def __init__(self) -> None:
        self.new: dict[str, NewOrder] = {}
        self.changed: dict[str, OrderChange] = {}
        self.trades: list[NewTrade] = []
        self.book_sequences: dict[tuple[int, str], int] = {}
        self.balances: dict[tuple[str, str], BalanceChange] = {}
        self.minutes: dict[tuple[int, str, int], Candle] = {}
        self.instruments: dict[tuple[int, str], InstrumentSet] = {}
        # Set after the run's last change of the instrument.
        self.phases: dict[tuple[int, str], Phase] = {}
        self.own_events: dict[tuple[int, str], int] = {}
        self.clocks: dict[int, int] = {}
        self.outcomes = 0
        self.newest_time: int | None = None

    def add(self, batch: Batch) -> None:
        """Apply one batch."""
        command = batch.first_command
        for outcome in batch.outcomes:
            time = outcome.time
            for expired in outcome.expired:
                self._left(expired, "expired", batch.partition, time)
            steps = steps_of(outcome)
            self._count(own_events_of(outcome, steps), batch.partition)
            for step, trades in steps:
                for trade in trades:
                    self._traded(trade, batch.partition, command, time)
                self._step(step, batch.partition, command, time)
            command += 1
            self.newest_time = self.clocks[batch.partition] = time
        self.outcomes += len(batch.outcomes)

    def _step(self, step: Step, partition: int, command: int, time: int) -> None:
        match step:
            case OrderAccepted():
                self._accepted(step, partition, command, time)
            case OrderAmended():
                self._amended(step, partition, time)
            case StopElected():
                self._elected(step, partition, time)
            case OrderCancelled():
                self._left(step, "cancelled", partition, time)
            case MakerPrevented():
                self._left(step, "self_trade", partition, time)
            case InstrumentSet():
                self.instruments[partition, step.symbol] = step
                self.phases.pop((partition, step.symbol), None)
                self.book_sequences[partition, step.symbol] = step.book_sequence
            case PhaseSet():
                self.phases[partition, step.symbol] = step.phase
                self.book_sequences[partition, step.symbol] = step.book_sequence
            case OrderRepeated() | CommandRefused() | Ticked() | QuotasSet():
                pass
            case never:
                assert_never(never)

    def traders(self) -> set[str]:
        """The brokers that take part in the run's trades."""
        brokers = {trade.fill.maker_broker_id for trade in self.trades}
        brokers.update(trade.taker.broker_id for trade in self.trades)
        return brokers

    def _count(self, events: Sequence[OwnEvent], partition: int) -> None:
        for own in events:
            key = partition, own.broker_id
            self.own_events[key] = self.own_events.get(key, 0) + 1

    def _traded(self, trade: ExecutedTrade, partition: int, command: int, time: int) -> None:
        fill, taker, left, index = trade.fill, trade.taker, trade.taker_remaining, trade.index
        self.trades.append(NewTrade(fill, taker, left, time, partition, command, index))
        self._filled(fill, taker.broker_id, time)
        self._sum(fill, taker)
        self._minute(fill, (partition, taker.symbol, start_of(time, MINUTE_MS)))

    def _accepted(self, event: OrderAccepted, partition: int, command: int, time: int) -> None:
        self.new[event.order_id] = NewOrder(OrderRecord.accepted(event, time), partition, command)
        self.book_sequences[partition, event.symbol] = event.book_sequence

    def _amended(self, event: OrderAmended, partition: int, time: int) -> None:
        self.book_sequences[partition, event.symbol] = event.book_sequence
        new = self.new.get(event.order_id)
        if new is not None:
            new.record.amended(event, time)
            return
        change = self._change(event.order_id, event.remaining_quantity, time)
        change.closed_reason = event.closed_reason
        change.price = event.price
        change.quantity = event.quantity or change.quantity
        change.valid_until = event.valid_until
        change.stop_price = event.stop_price or change.stop_price
        change.display_quantity = event.display_quantity
        change.displayed_quantity = event.displayed_quantity
        change.filled_value += sum(fill.price * fill.quantity for fill in event.fills)
        change.trades_count += len(event.fills)

    def _elected(self, step: StopElected, partition: int, time: int) -> None:
        self.book_sequences[partition, step.symbol] = step.book_sequence
        new = self.new.get(step.order_id)
        if new is not None:
            new.record.elected(step, time)
            return
        change = self._change(step.order_id, step.remaining_quantity, time)
        change.filled_value += sum(fill.price * fill.quantity for fill in step.fills)
        change.trades_count += len(step.fills)
        change.closed_reason, change.triggered_at = step.closed_reason, time

    def _sum(self, fill: Fill, taker: Taking) -> None:
        buyer, seller = buyer_and_seller(taker.side, taker.broker_id, fill.maker_broker_id)
        value = fill.price * fill.quantity
        bought = self._balance(buyer, taker.symbol)
        bought.quantity += fill.quantity
        bought.value -= value
        sold = self._balance(seller, taker.symbol)
        sold.quantity -= fill.quantity
        sold.value += value

    def _minute(self, fill: Fill, key: tuple[int, str, int]) -> None:
        candle = self.minutes.get(key)
        if candle is None:
            self.minutes[key] = Candle.of_trade(key[2], fill.price, fill.quantity, fill.sequence)
        else:
            candle.traded(fill.price, fill.quantity, fill.sequence)

    def candles(self) -> dict[tuple[int, str, Interval, int], Candle]:
        """The run's part of each candle of each interval."""
        found: dict[tuple[int, str, Interval, int], Candle] = {}
        for (partition, symbol, minute), part in self.minutes.items():
            for interval, length_ms in INTERVALS_MS.items():
                start = start_of(minute, length_ms)
                candle = found.get((partition, symbol, interval, start))
                if candle is None:
                    candle = structs.replace(part, start=start)
                    found[partition, symbol, interval, start] = candle
                else:
                    candle.followed_by(part)
        return found

    def _balance(self, broker_id: str, symbol: str) -> BalanceChange:
        change = self.balances.get((broker_id, symbol))
        if change is None:
            change = self.balances[broker_id, symbol] = BalanceChange()
        return change

    def _filled(self, fill: Fill, taker_broker_id: str, time: int) -> None:
        new = self.new.get(fill.maker_order_id)
        if new is not None:
            new.record.filled_as_maker(fill, taker_broker_id, time)
            return
        change = self._change(fill.maker_order_id, fill.maker_remaining_quantity, time)
        change.filled_value += fill.price * fill.quantity
        change.trades_count += 1
        change.displayed_quantity = fill.maker_displayed_quantity
        if fill.maker_remaining_quantity == 0:
            change.closed_reason = "filled"

    def _left(
        self,
        event: OrderCancelled | Expired | MakerPrevented,
        reason: ClosedReason,
        partition: int,
        time: int,
    ) -> None:
        self.book_sequences[partition, event.symbol] = event.book_sequence
        new = self.new.get(event.order_id)
        if new is not None:
            new.record.closed(reason, time)
            return
        self._change(event.order_id, event.remaining_quantity, time).closed_reason = reason

    def _change(self, order_id: str, remaining_quantity: int, time: int) -> OrderChange:
        change = self.changed.get(order_id)
        if change is None:
            change = self.changed[order_id] = OrderChange(remaining_quantity, time)
        change.remaining_quantity = remaining_quantity
        change.updated_at = time
        return change
