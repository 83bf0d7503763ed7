"""Naive model of the market's rules, with lists, sorts and scans instead of indexes.

Tests compare the engine with it. It imports nothing from the services, so that they share no
mistake. Offsets only grow, so an order's offset gives its age.
"""

from copy import copy
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
    SetQuotas,
    Tick,
)
from schemas.executions import (
    CommandRefused,
    Event,
    Expired,
    Fill,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderRepeated,
    Outcome,
    QuotasSet,
    RefusalCode,
    StopElected,
    Ticked,
)
from schemas.ids import created_ms, trade_id
from schemas.instruments import Phase
from schemas.quotas import Quotas
from schemas.units import ClosedReason
from tests.support.naive_instrument import NaiveInstrument, broken_rules
from tests.support.naive_orders import (
    Remembered,
    Resting,
    accepted,
    amended,
    client_key,
    content,
    display_of,
    is_stop,
    needed,
    never_rests,
    order_amended,
    refused_amendment,
    slice_of,
    take,
)
from tests.support.naive_state import NaiveState
from tests.support.naive_stops import NaiveStop, NaiveStops, elected


class NaiveMarket(NaiveState):
    """All symbols of one partition. `open` is sorted by acceptance."""

    def apply(self, command: Command | None, offset: int, timestamp: int) -> Outcome:
        """Apply one command; return its outcome. None is a record that could not be decoded."""
        self.clock = max(self.clock, timestamp)
        self.touched, self.trades = set(), 0
        self.steps, self.elections = self.limits.fills_max, self.limits.elections_max
        due = [one for one in self._open_orders() if self._is_due(one.order)]
        due.sort(key=lambda one: (one.order.valid_until, one.offset))
        expired = [self._expire(one) for one in due[: self.limits.expiries_max]]
        carried = sorted({stop.order.symbol for stop in self.stops.elected})
        before = self._run_stops(carried, offset, expired)
        event = self._decide(command, offset, expired)
        if isinstance(event, OrderAccepted | OrderAmended | OrderCancelled | InstrumentSet):
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

    def _run_stops(
        self, symbols: list[str], offset: int, expired: list[Expired]
    ) -> list[StopElected]:
        found = []
        for symbol in symbols:
            while self.steps > 0 and self.elections > 0:
                stop = self.stops.next_of(symbol)
                if stop is None:
                    break
                self.elections -= 1
                found.append(self._take(stop, offset, expired))
        for symbol in symbols:
            self.stops.elect(symbol)
        return found

    def _take(self, stop: NaiveStop, offset: int, expired: list[Expired]) -> StopElected:
        order = stop.order
        self.stops.remove(stop)
        if self._is_due(order):
            event = accepted(order, order.quantity, "expired", [])
        else:
            event = self._match(order, offset, expired)
            for one in self.open:
                if one.order is order:
                    # It is an ordinary order from now on.
                    one.order, one.offset = structs.replace(order, stop_price=None), stop.offset
        return elected(stop, event, self._sequence(order.symbol))

    def _decide(self, command: Command | None, offset: int, expired: list[Expired]) -> Event:
        match command:
            case None:
                return CommandRefused("malformed_command")
            case Tick():
                return Ticked()
            case SetQuotas() | SetInstrument():
                return self._set(command)
            case CancelOrder() | CancelAll():
                return self._cancel(command)
            case AmendOrder():
                return self._amend(command, offset, expired)
            case PlaceOrder():
                return self._place(command, offset, expired)
            case _:
                assert_never(command)

    def _set_instrument(self, command: SetInstrument) -> Event:
        held = self.instruments.get(command.symbol)
        reference = command.reference_price or (held.reference if held else None)
        if reference is None:
            return CommandRefused("needs_reference_price", request=command.request)
        phase: Phase = held.phase if held else "continuous"
        self.instruments[command.symbol] = NaiveInstrument(command.rules, reference, phase)
        self.opened_by.setdefault(command.symbol, None)
        return InstrumentSet(
            symbol=command.symbol,
            request=command.request,
            rules=command.rules,
            reference_price=reference,
            phase=phase,
            book_sequence=0,
            trade_sequence=self.trade_sequence.get(command.symbol, 0),
        )

    def _set(self, command: SetQuotas | SetInstrument) -> Event:
        if isinstance(command, SetInstrument):
            return self._set_instrument(command)
        self.quotas = command.quotas
        return QuotasSet(command.quotas)

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
        if isinstance(former, NaiveStop) or (
            command.display_quantity and not display_of(former.order)
        ):
            return refused_amendment(command, "not_amendable")
        return self._amend_resting(former, command, (offset, expired))

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
        taker = EnterOrder(**fields)
        if command.post_only and self._at_once(taker, at[0]):
            return refused_amendment(command, "post_only_would_trade")
        self._leave(former)
        arrived = self._match(taker, *at)
        for one in self.open:
            if one.order is taker:
                one.order, one.offset, one.amended = after.order, former.offset, after.amended
        after.remaining = arrived.remaining_quantity
        after.shown = slice_of(after.order, after.remaining)
        return structs.replace(
            order_amended(command, after, former.order.price),
            closed_reason=arrived.closed_reason,
            fills=arrived.fills,
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
        codes: list[RefusalCode] = ["needs_instrument"] if is_stop(order) else []
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
            return accepted(order, order.quantity, "expired", [])
        if isinstance(order, EnterOrder) and is_stop(order):
            self.stops.waiting.append(NaiveStop(order, offset))
            return accepted(order, order.quantity, None, [])
        if self._at_once(order, offset) < needed(order):
            return accepted(order, order.quantity, "no_liquidity", [])
        return self._match(order, offset, expired)

    def _at_once(self, order: PlaceOrder, offset: int) -> int:
        """The shares that the order trades at once, by matching it on a copy of the market."""
        if not isinstance(order, EnterOrder):
            return 0
        trial = copy(self)
        trial.open = [structs.replace(resting) for resting in self.open]
        trial.trade_sequence, trial.opened_by, trial.instruments = {}, {}, {}
        trial.touched, trial.stops = set(), NaiveStops()
        return sum(fill.quantity for fill in trial._match(order, offset, []).fills)

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

    def _match(self, order: PlaceOrder, offset: int, expired: list[Expired]) -> OrderAccepted:
        fills: list[Fill] = []
        remaining = order.quantity
        while remaining > 0 and self.steps > 0:
            maker = self._counterparty(order)
            if maker is None:
                break
            self.steps -= 1
            if self._is_due(maker.order):
                expired.append(self._expire(maker))
                continue
            fill = self._fill(maker, remaining, offset)
            remaining -= fill.quantity
            fills.append(fill)
        reason: ClosedReason | None = None
        if remaining == 0:
            reason = "filled"
        elif self._counterparty(order) is not None:
            reason = "cancelled"
        elif never_rests(order):
            reason = "no_liquidity"
        else:
            shown = slice_of(order, remaining)
            self.open.append(Resting(order, offset, remaining, shown, self._next_place()))
            self.touched.add(order.symbol)
            opener = None if self.quotas is None else order.broker_id
            self.opened_by.setdefault(order.symbol, opener)
        return accepted(order, remaining, reason, fills)

    def _fill(self, maker: Resting, wanted: int, offset: int) -> Fill:
        quantity = min(wanted, maker.shown)
        displayed = take(maker, quantity, self._next_place())
        if maker.remaining == 0:
            self.open.remove(maker)
        symbol = maker.order.symbol
        self.trade_sequence[symbol] = self.trade_sequence.get(symbol, 0) + 1
        self.touched.add(symbol)
        self.trades += 1
        price = maker.order.price or 0
        self.stops.prices.setdefault(symbol, []).append(price)
        if symbol in self.instruments:
            self.instruments[symbol].reference = price
        return Fill(
            trade_id=trade_id(self.clock, self.partition, offset, self.trades - 1),
            sequence=self.trade_sequence[symbol],
            price=price,
            quantity=quantity,
            maker_order_id=maker.order.order_id,
            maker_broker_id=maker.order.broker_id,
            maker_remaining_quantity=maker.remaining,
            maker_displayed_quantity=displayed,
        )

    def _counterparty(self, order: PlaceOrder) -> Resting | None:
        """Next maker for `order`: best price, then oldest; None if none crosses."""
        queue = self._queue(order.symbol, "ask" if order.side == "bid" else "bid")
        if not queue:
            return None
        price = queue[0].order.price or 0
        if order.price is None:
            return queue[0]
        crosses = price <= order.price if order.side == "bid" else price >= order.price
        return queue[0] if crosses else None
