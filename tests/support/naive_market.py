"""Naive model of the market's rules, with lists, sorts and scans instead of indexes.

Tests compare the engine with it. It imports nothing from the services, so that they share no
mistake. Offsets only grow, so an order's offset gives its age.
"""

from copy import copy
from typing import TypeVar, assert_never

from msgspec import Struct, structs

from schemas.book import Level
from schemas.commands import (
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
    OrderCancelled,
    OrderEntered,
    OrderRepeated,
    Outcome,
    QuotasSet,
    RefusalCode,
    Ticked,
)
from schemas.ids import created_ms, trade_id
from schemas.instruments import Phase
from schemas.quotas import Quotas
from schemas.units import ClosedReason, Side
from tests.support.naive_instrument import NaiveInstrument, broken_rules

CONDITIONS = ("time_in_force", "post_only", "minimum_quantity")

N = TypeVar("N", bound=OrderAccepted | OrderEntered | OrderCancelled | Expired | InstrumentSet)


class NaiveRules(Struct, frozen=True):
    """The bounds of one command's work and of the window of client order ids."""

    fills_max: int = 10_000
    expiries_max: int = 10_000
    client_ids_max: int = 1_000_000
    client_id_window_ms: int = 3_600_000
    client_id_block: int = 1_000
    order_id_window_ms: int = 300_000


class Resting(Struct):
    """An open order: its command, the command's offset, and the remaining quantity."""

    order: PlaceOrder
    offset: int
    remaining: int


class Remembered(Struct, frozen=True):
    """An accepted order with a client order id, the time of acceptance, and its block of ids."""

    order: PlaceOrder
    time: int
    block: int


class NaiveMarket:
    """All symbols of one partition. `open` is sorted by acceptance."""

    def __init__(self, partition: int, limits: NaiveRules) -> None:
        self.partition = partition
        self.limits = limits
        self.clock = 0
        self.open: list[Resting] = []
        self.window: list[Remembered] = []
        self.book_sequence: dict[str, int] = {}
        self.trade_sequence: dict[str, int] = {}
        self.quotas: Quotas | None = None
        # Every order id since quotas were set, and the broker that opened each book since then.
        self.order_ids: set[str] = set()
        self.opened_by: dict[str, str | None] = {}
        self.instruments: dict[str, NaiveInstrument] = {}

    def apply(self, command: Command | None, offset: int, timestamp: int) -> Outcome:
        """Apply one command; return its outcome. None is a record that could not be decoded."""
        self.clock = max(self.clock, timestamp)
        before = self._state()
        due = [resting for resting in self.open if self._is_due(resting.order)]
        due.sort(key=lambda resting: (resting.order.valid_until, resting.offset))
        expired = [self._expire(resting) for resting in due[: self.limits.expiries_max]]
        event = self._decide(command, offset, expired)
        after = self._state()
        for symbol in before.keys() | after.keys():
            if before.get(symbol) != after.get(symbol):
                self.book_sequence[symbol] = self.book_sequence.get(symbol, 0) + 1
        if isinstance(event, OrderAccepted | OrderCancelled | InstrumentSet):
            event = self._numbered(event)
        return Outcome(
            time=self.clock,
            event=event,
            expired=tuple(self._numbered(one) for one in expired),
        )

    def levels(self, symbol: str, side: Side) -> list[Level]:
        """Price levels of a side, best first."""
        orders = self._queue(symbol, side)
        prices = list(dict.fromkeys(one.order.price or 0 for one in orders))
        at = {price: [one for one in orders if one.order.price == price] for price in prices}
        return [Level(p, sum(one.remaining for one in at[p]), len(at[p])) for p in prices]

    def _decide(self, command: Command | None, offset: int, expired: list[Expired]) -> Event:
        match command:
            case None:
                return CommandRefused("malformed_command")
            case Tick():
                return Ticked()
            case SetQuotas():
                self.quotas = command.quotas
                return QuotasSet(command.quotas)
            case SetInstrument():
                return self._set_instrument(command)
            case CancelOrder():
                return self._cancel(command)
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

    def _cancel(self, command: CancelOrder) -> Event:
        for resting in self.open:
            if resting.order.order_id == command.order_id:
                break
        else:
            return CommandRefused("order_not_open", command.order_id, command.broker_id)
        if resting.order.broker_id != command.broker_id:
            return CommandRefused("not_owner", command.order_id, command.broker_id)
        self.open.remove(resting)
        return OrderCancelled(
            order_id=command.order_id,
            broker_id=command.broker_id,
            symbol=resting.order.symbol,
            remaining_quantity=resting.remaining,
            book_sequence=0,
        )

    def _place(self, order: PlaceOrder, offset: int, expired: list[Expired]) -> Event:
        refusal = self._repetition(order)
        if refusal is not None:
            return refusal
        if any(resting.order.order_id == order.order_id for resting in self.open):
            return CommandRefused("duplicate_order_id", order.order_id, order.broker_id)
        if self.quotas is not None:
            code = self._used(order) or self._exceeded(order, self.quotas)
            if code is not None:
                return CommandRefused(code, order.order_id, order.broker_id)
        held = self.instruments.get(order.symbol)
        codes = [] if held is None else broken_rules(order, held)
        if codes:
            return CommandRefused(codes[0], order.order_id, order.broker_id)
        if isinstance(order, EnterOrder) and order.post_only and self._at_once(order, offset):
            return CommandRefused("post_only_would_trade", order.order_id, order.broker_id)
        if order.client_order_id is not None:
            self._remember(Remembered(order, self.clock, offset // self.limits.client_id_block))
        return self._enter(order, offset, expired)

    def _enter(self, order: PlaceOrder, offset: int, expired: list[Expired]) -> OrderAccepted:
        if self._is_due(order):
            return _accepted(order, order.quantity, "expired", [])
        if self._at_once(order, offset) < _needed(order):
            return _accepted(order, order.quantity, "no_liquidity", [])
        event = self._match(order, offset, expired)
        if event.fills and order.symbol in self.instruments:
            self.instruments[order.symbol].reference = event.fills[-1].price
        return event

    def _at_once(self, order: PlaceOrder, offset: int) -> int:
        """The shares that the order trades at once, by matching it on a copy of the market."""
        if not isinstance(order, EnterOrder):
            return 0
        trial = copy(self)
        trial.open = [structs.replace(resting) for resting in self.open]
        trial.trade_sequence, trial.opened_by = {}, {}
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
        if _never_rests(order):
            return None
        own = [one for one in self.open if one.order.broker_id == broker]
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
            if _client_key(first) == _client_key(order):
                ids = (order.order_id, order.broker_id, first.order_id)
                if _content(first) == _content(order):
                    return OrderRepeated(*ids)
                return CommandRefused("client_order_id_reused", *ids)
        return None

    def _match(self, order: PlaceOrder, offset: int, expired: list[Expired]) -> OrderAccepted:
        fills: list[Fill] = []
        remaining = order.quantity
        steps = 0
        while remaining > 0 and steps < self.limits.fills_max:
            maker = self._counterparty(order)
            if maker is None:
                break
            steps += 1
            if self._is_due(maker.order):
                expired.append(self._expire(maker))
                continue
            fill = self._fill(maker, remaining, offset, len(fills))
            remaining -= fill.quantity
            fills.append(fill)
        reason: ClosedReason | None = None
        if remaining == 0:
            reason = "filled"
        elif self._counterparty(order) is not None:
            reason = "cancelled"
        elif _never_rests(order):
            reason = "no_liquidity"
        else:
            self.open.append(Resting(order, offset, remaining))
            opener = None if self.quotas is None else order.broker_id
            self.opened_by.setdefault(order.symbol, opener)
        return _accepted(order, remaining, reason, fills)

    def _fill(self, maker: Resting, wanted: int, offset: int, index: int) -> Fill:
        quantity = min(wanted, maker.remaining)
        maker.remaining -= quantity
        if maker.remaining == 0:
            self.open.remove(maker)
        symbol = maker.order.symbol
        self.trade_sequence[symbol] = self.trade_sequence.get(symbol, 0) + 1
        return Fill(
            trade_id=trade_id(self.clock, self.partition, offset, index),
            sequence=self.trade_sequence[symbol],
            price=maker.order.price or 0,
            quantity=quantity,
            maker_order_id=maker.order.order_id,
            maker_broker_id=maker.order.broker_id,
            maker_remaining_quantity=maker.remaining,
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

    def _queue(self, symbol: str, side: Side) -> list[Resting]:
        sign = -1 if side == "bid" else 1
        orders = [one for one in self.open if (one.order.symbol, one.order.side) == (symbol, side)]
        return sorted(orders, key=lambda one: (sign * (one.order.price or 0), one.offset))

    def _is_due(self, order: PlaceOrder) -> bool:
        return order.valid_until is not None and order.valid_until <= self.clock

    def _expire(self, resting: Resting) -> Expired:
        self.open.remove(resting)
        order = resting.order
        return Expired(order.order_id, order.broker_id, order.symbol, resting.remaining, 0)

    def _state(self) -> dict[str, list[tuple[int, int]]]:
        state: dict[str, list[tuple[int, int]]] = {}
        for one in self.open:
            state.setdefault(one.order.symbol, []).append((one.offset, one.remaining))
        return state

    def _numbered(self, event: N) -> N:
        return structs.replace(event, book_sequence=self.book_sequence.get(event.symbol, 0))


def _accepted(
    order: PlaceOrder, remaining: int, reason: ClosedReason | None, fills: list[Fill]
) -> OrderAccepted:
    kind, conditions = OrderAccepted, {}
    if isinstance(order, EnterOrder):
        kind = OrderEntered
        conditions = {name: getattr(order, name) for name in CONDITIONS}
    return kind(
        order_id=order.order_id,
        broker_id=order.broker_id,
        document_number=order.document_number,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        remaining_quantity=remaining,
        book_sequence=0,
        price=order.price,
        valid_until=order.valid_until,
        client_order_id=order.client_order_id,
        closed_reason=reason,
        fills=tuple(fills),
        **conditions,
    )


def _never_rests(order: PlaceOrder) -> bool:
    in_force = order.time_in_force if isinstance(order, EnterOrder) else None
    return order.order_type == "market" or in_force in {"ioc", "fok"}


def _needed(order: PlaceOrder) -> int:
    """The quantity that must trade at once."""
    if not isinstance(order, EnterOrder):
        return 0
    return order.quantity if order.time_in_force == "fok" else order.minimum_quantity or 0


def _client_key(order: PlaceOrder) -> tuple[str, str, str | None]:
    return order.broker_id, order.symbol, order.client_order_id


def _content(order: PlaceOrder) -> tuple[object, ...]:
    conditions = [getattr(order, name, "plain") for name in CONDITIONS]
    return (
        *conditions,
        order.side,
        order.order_type,
        order.price,
        order.quantity,
        order.valid_until,
        order.document_number,
    )
