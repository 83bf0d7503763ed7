"""Naive model of the market's rules, with lists, sorts and scans instead of indexes.

Tests compare the engine with it. It imports nothing from the services, so that they share no
mistake. Offsets only grow, so an order's offset gives its age.
"""

from typing import assert_never

from msgspec import structs

from schemas.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
    SetPhase,
    SetQuotas,
    Tick,
)
from schemas.executions import (
    CommandRefused,
    Event,
    Expired,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    OrderRepeated,
    Outcome,
    PhaseSet,
    RefusalCode,
    Ticked,
)
from schemas.ids import created_ms
from schemas.quotas import Quotas
from schemas.units import ClosedReason
from tests.support.naive_instrument import broken_rules, phase_refusals
from tests.support.naive_operator import NaiveOperator
from tests.support.naive_orders import (
    Remembered,
    Resting,
    accepted,
    amended,
    client_key,
    content,
    display_of,
    is_day,
    is_stop,
    mode_of,
    needed,
    never_rests,
    order_amended,
    refused_amendment,
    slice_of,
)
from tests.support.naive_stops import NaiveStop, stop_amended
from tests.support.naive_taking import NaiveTaking

# Events that name a number of their book.
ON_BOOKS = OrderAccepted | OrderAmended | OrderCancelled | InstrumentSet | PhaseSet


class NaiveMarket(NaiveOperator, NaiveTaking):
    """All symbols of one partition. `open` is sorted by acceptance."""

    def apply(self, command: Command | None, offset: int, timestamp: int) -> Outcome:
        """Apply one command; return its outcome. None is a record that could not be decoded."""
        self.clock = max(self.clock, timestamp)
        self.touched, self.trades = set(), 0
        self.references = {name: held.reference for name, held in self.instruments.items()}
        self.steps, self.elections = self.limits.fills_max, self.limits.elections_max
        due = [one for one in self._open_orders() if self._is_due(one.order)]
        due.sort(key=lambda one: (one.order.valid_until, one.offset))
        expired = [self._expire(one) for one in due[: self.limits.expiries_max]]
        carried = sorted({stop.order.symbol for stop in self.stops.elected} - self._held())
        before = self._run_stops(carried, offset, expired)
        event = self._decide(command, offset, expired)
        if isinstance(event, ON_BOOKS):
            event = structs.replace(event, book_sequence=self._sequence(event.symbol))
        after = self._run_stops(list(self.stops.prices), offset, expired)
        for symbol in self.touched:
            self.book_sequence[symbol] = self.book_sequence.get(symbol, 0) + 1
        return Outcome(
            time=self.clock,
            event=event,
            expired=tuple(expired),
            before=tuple(before),
            after=tuple(after),
        )

    def _decide(self, command: Command | None, offset: int, expired: list[Expired]) -> Event:
        match command:
            case None:
                return CommandRefused("malformed_command")
            case Tick():
                return Ticked()
            case SetQuotas() | SetInstrument() | SetPhase():
                return self._set(command)
            case CancelOrder() | CancelAll():
                return self._cancel(command)
            case AmendOrder():
                return self._amend(command, offset, expired)
            case PlaceOrder():
                return self._place(command, offset, expired)
            case _:
                assert_never(command)

    def _cancel(self, command: CancelOrder | CancelAll) -> Event:
        if isinstance(command, CancelAll):
            return self._cancel_all(command)
        for one in self._open_orders():
            if one.order.order_id == command.order_id:
                break
        else:
            return CommandRefused("order_not_open", command.order_id, command.broker_id)
        if one.order.broker_id != command.broker_id:
            return CommandRefused("not_owner", command.order_id, command.broker_id)
        return OrderCancelled(
            order_id=command.order_id,
            broker_id=command.broker_id,
            symbol=one.order.symbol,
            remaining_quantity=self._leave(one),
            book_sequence=0,
        )

    def _amend(self, command: AmendOrder, offset: int, expired: list[Expired]) -> Event:
        found = [one for one in self._open_orders() if one.order.order_id == command.order_id]
        if not found or found[0].order.broker_id != command.broker_id:
            return refused_amendment(command, "not_owner" if found else "order_not_open")
        former = found[0]
        if isinstance(former, NaiveStop):
            can_be = former.has_values_of(command)
        else:
            hides = command.display_quantity and not display_of(former.order)
            can_be = command.stop_price is None and not hides
        if not can_be or (is_day(former.order) and command.valid_until is not None):
            return refused_amendment(command, "not_amendable")
        codes = phase_refusals(self.instruments.get(former.order.symbol))
        if codes:
            return refused_amendment(command, codes[0])
        if isinstance(former, NaiveStop):
            return self._amend_stop(former, command, offset)
        return self._amend_resting(former, command, (offset, expired))

    def _amend_stop(self, stop: NaiveStop, command: AmendOrder, offset: int) -> Event:
        before, after = stop.order, stop.with_values_of(command)
        if self._is_due(before) or self._is_due(after):
            self.stops.remove(stop)
            last = before if self._is_due(before) else after
            return stop_amended(command, last, "expired", kept=False)
        codes = broken_rules(after, self.instruments[before.symbol])
        if codes:
            return refused_amendment(command, codes[0])
        same = (before.price, before.stop_price) == (after.price, after.stop_price)
        kept = same and after.quantity <= before.quantity
        stop.order, stop.amended = after, after.quantity
        stop.place = stop.place if kept else offset
        return stop_amended(command, after, None, kept=kept)

    def _amend_resting(
        self, former: Resting, command: AmendOrder, at: tuple[int, list[Expired]]
    ) -> Event:
        after = amended(former, command)
        if self._is_due(former.order) or after.remaining <= 0:
            reason: ClosedReason = "expired" if self._is_due(former.order) else "cancelled"
            return self._amended_and_closed(command, former, former, reason)
        if self._is_due(after.order):
            return self._amended_and_closed(command, former, after, "expired")
        if former.order.symbol in self.instruments:
            wanted = command.quantity or former.remaining
            changes: dict[str, int | None] = {"quantity": wanted}
            if isinstance(after.order, EnterOrder):
                changes["minimum_quantity"] = None
            entered = structs.replace(after.order, **changes)
            codes = broken_rules(entered, self.instruments[former.order.symbol])
            if codes:
                return refused_amendment(command, codes[0])
        if after.order.price == former.order.price and after.remaining <= former.remaining:
            self.open[self.open.index(former)] = after
            cut = after.shown < former.shown
            self.touched.update([former.order.symbol] if cut else [])
            event = order_amended(command, after, former.order.price if cut else None)
            return structs.replace(event, kept_priority=True)
        return self._move(command, former, after, at)

    def _move(
        self,
        command: AmendOrder,
        former: Resting,
        after: Resting,
        at: tuple[int, list[Expired]],
    ) -> Event:
        """Take the order out and let it arrive with its new values."""
        fields = structs.asdict(structs.replace(after.order, quantity=after.remaining))
        fields["post_only"] = command.post_only
        taker = EnterOrder(**fields)
        if command.post_only and self._at_once(taker, at[0]):
            return refused_amendment(command, "post_only_would_trade")
        self._leave(former)
        arrived = self._match(taker, *at)
        for one in self.open:
            if one.order is taker:
                one.order, one.offset, one.amended = after.order, former.offset, after.amended
                one.document = former.document
        after.remaining = arrived.remaining_quantity
        after.shown = slice_of(after.order, after.remaining)
        assert isinstance(arrived, OrderEntered)
        return structs.replace(
            order_amended(command, after, former.order.price),
            closed_reason=arrived.closed_reason,
            fills=arrived.fills,
            prevented=arrived.prevented,
            **({} if arrived.closed_reason is None else {"displayed_quantity": None}),
        )

    def _amended_and_closed(
        self, command: AmendOrder, former: Resting, after: Resting, reason: ClosedReason
    ) -> OrderAmended:
        self._leave(former)
        event = order_amended(command, after, former.order.price)
        return structs.replace(event, closed_reason=reason, displayed_quantity=None)

    def _place(self, order: PlaceOrder, offset: int, expired: list[Expired]) -> Event:
        refusal = self._repetition(order)
        if refusal is not None:
            return refusal
        if any(one.order.order_id == order.order_id for one in self._open_orders()):
            return CommandRefused("duplicate_order_id", order.order_id, order.broker_id)
        if self.quotas is not None:
            code = self._used(order) or self._exceeded(order, self.quotas)
            if code is not None:
                return CommandRefused(code, order.order_id, order.broker_id)
        held = self.instruments.get(order.symbol)
        codes: list[RefusalCode] = []
        if is_stop(order) or is_day(order) or mode_of(order):
            codes.append("needs_instrument")
        if held is not None:
            codes = broken_rules(order, held)
        if codes:
            return CommandRefused(codes[0], order.order_id, order.broker_id)
        if isinstance(order, EnterOrder) and order.post_only and self._at_once(order, offset):
            return CommandRefused("post_only_would_trade", order.order_id, order.broker_id)
        if order.client_order_id is not None:
            self._remember(Remembered(order, self.clock, offset // self.limits.client_id_block))
        return self._enter(order, offset, expired)

    def _enter(self, order: PlaceOrder, offset: int, expired: list[Expired]) -> OrderAccepted:
        if self._is_due(order):
            return accepted(order, order.quantity, "expired")
        if isinstance(order, EnterOrder) and is_stop(order):
            self.stops.waiting.append(NaiveStop(order, offset, offset))
            return accepted(order, order.quantity, None)
        if self._at_once(order, offset) < needed(order):
            return accepted(order, order.quantity, "no_liquidity")
        return self._match(order, offset, expired)

    def _used(self, order: PlaceOrder) -> RefusalCode | None:
        if abs(self.clock - created_ms(order.order_id)) >= self.limits.order_id_window_ms:
            return "stale_order_id"
        if order.order_id in self.order_ids:
            return "duplicate_order_id"
        self.order_ids.add(order.order_id)
        return None

    def _exceeded(self, order: PlaceOrder, quotas: Quotas) -> RefusalCode | None:
        broker = order.broker_id
        remembered = [one for one in self.window if one.order.broker_id == broker]
        if order.client_order_id and len(remembered) >= quotas.client_order_ids_max:
            return "too_many_client_order_ids"
        if never_rests(order) and not is_stop(order):
            return None
        own = [one for one in self._open_orders() if one.order.broker_id == broker]
        if len(own) >= quotas.open_orders_max:
            return "too_many_open_orders"
        books = [symbol for symbol, opener in self.opened_by.items() if opener == broker]
        if order.symbol not in self.opened_by and len(books) >= quotas.symbols_max:
            return "too_many_symbols"
        return None

    def _remember(self, latest: Remembered) -> None:
        self.window.append(latest)
        while self.quotas is None and len(self.window) > self.limits.client_ids_max:
            oldest = self.window[0].block
            if oldest == latest.block:
                break
            self.window = [one for one in self.window if one.block != oldest]

    def _repetition(self, order: PlaceOrder) -> OrderRepeated | CommandRefused | None:
        if order.client_order_id is None:
            return None
        lifetime = self.limits.client_id_window_ms
        newest = {one.block: one.time for one in self.window}
        self.window = [one for one in self.window if newest[one.block] + lifetime > self.clock]
        for one in self.window:
            first = one.order
            if client_key(first) == client_key(order):
                ids = (order.order_id, order.broker_id, first.order_id)
                if content(first) == content(order):
                    return OrderRepeated(*ids)
                return CommandRefused("client_order_id_reused", *ids)
        return None
