"""Order books rebuilt from the recorded outcomes alone, with a check of every trade.

Pure, and independent of the engine: queues, totals and sequences are implemented here a second
time. The public records that must follow, trades and changed levels, are computed as well.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from msgspec import Struct
from sortedcontainers import SortedDict

from schemas.book import BookUpdate, Level
from schemas.commands import Command, PlaceOrder
from schemas.executions import (
    CommandRefused,
    Expired,
    Fill,
    InstrumentSet,
    OrderAccepted,
    OrderCancelled,
    OrderEntered,
    Outcome,
)
from schemas.ids import trade_id
from schemas.outcome_steps import ExecutedTrade, steps_of
from schemas.trades import Trade
from schemas.units import Side
from services.audit.conditions import broken_condition, is_killed, needed, never_rests
from services.audit.report import AuditReport
from services.matcher.rules import RULES, Rules
from services.matcher.state import EngineState

SIDES: tuple[Side, Side] = ("bid", "ask")


class _Resting(Struct):
    symbol: str
    side: Side
    price: int
    remaining: int
    valid_until: int | None


class _Level(Struct):
    """The orders of a level, oldest first; `total` is the sum of their remaining quantities."""

    orders: OrderedDict[str, _Resting]
    total: int = 0


class _Book:
    """One symbol. Levels by price, the best first."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.sequence = 0
        self.trades = 0
        self.changed: dict[tuple[Side, int], None] = {}
        self._sides: dict[Side, SortedDict[int, _Level]] = {
            "bid": SortedDict(),
            "ask": SortedDict(),
        }

    def add(self, order_id: str, order: _Resting) -> None:
        levels, key = self._sides[order.side], _key(order.side, order.price)
        if key not in levels:
            levels[key] = _Level(OrderedDict())
        levels[key].orders[order_id] = order
        levels[key].total += order.remaining

    def leave(self, order: _Resting, remaining: int) -> None:
        """Set the remaining quantity of an order."""
        level = self._sides[order.side][_key(order.side, order.price)]
        level.total += remaining - order.remaining
        order.remaining = remaining

    def remove(self, order_id: str, order: _Resting) -> None:
        self.leave(order, 0)
        levels, key = self._sides[order.side], _key(order.side, order.price)
        del levels[key].orders[order_id]
        if not levels[key].orders:
            del levels[key]

    def first(self, side: Side) -> tuple[str, _Resting] | None:
        levels = self._sides[side]
        return next(iter(levels.peekitem(0)[1].orders.items())) if levels else None

    def waiting(self, side: Side) -> Iterator[_Resting]:
        """The orders of a side in the order they would trade."""
        for level in self._sides[side].values():
            yield from level.orders.values()

    def level(self, side: Side, price: int) -> Level:
        found = self._sides[side].get(_key(side, price))
        return Level(price, found.total, len(found.orders)) if found else Level(price, 0, 0)

    def levels(self, side: Side) -> list[Level]:
        return [self.level(side, abs(key)) for key in self._sides[side]]


class OutcomeBooks:
    """Every book of one partition. `trades` and `updates` belong to the latest outcome."""

    def __init__(self, partition: int, report: AuditReport, rules: Rules = RULES) -> None:
        self.trades: list[Trade] = []
        self.updates: list[BookUpdate] = []
        self.clock = 0
        self._partition = partition
        self._rules = rules
        self._priority = report["priority"]
        self._conditions = report["conditions"]
        self._sequences = report["sequences"]
        self._crossed = report["crossed"]
        self._books: dict[str, _Book] = {}
        self._orders: dict[str, _Resting] = {}
        self._changed: dict[str, _Book] = {}

    def carry(self, state: EngineState) -> None:
        """Take over the books where the audit begins."""
        self.clock = state.clock
        for row in state.books:
            book = self._books[row.symbol] = _Book(row.symbol)
            book.sequence, book.trades = row.sequence, row.trade_sequence
        for order in state.orders:
            resting = _Resting(
                order.symbol, order.side, order.price, order.remaining_quantity, order.valid_until
            )
            self._orders[order.order_id] = resting
            self._books[order.symbol].add(order.order_id, resting)

    def apply(self, outcome: Outcome, offset: int, command: Command | None = None) -> None:
        """Apply the outcome of the command at `offset`."""
        self.trades, self._changed = [], {}
        self.clock = outcome.time
        for expired in outcome.expired:
            self._leaves(expired.order_id)
        for step, trades in steps_of(outcome):
            if isinstance(step, OrderCancelled):
                self._leaves(step.order_id)
            elif isinstance(step, OrderAccepted):
                self._enters(step, trades, outcome, offset)
            elif isinstance(step, InstrumentSet):
                self._books.setdefault(step.symbol, _Book(step.symbol))
            elif isinstance(step, CommandRefused) and step.code == "post_only_would_trade":
                self._look_at_post_only(command, offset)
        self.updates = [
            self._update(book, outcome.time, offset, index)
            for index, book in enumerate(self._changed.values())
        ]
        self._look_at_sequences(outcome, offset)
        self._crossed.checked += 1
        for book in self._changed.values():
            self._look_at_ends(book, offset)

    def sequences(self) -> dict[str, int]:
        """The number of changes of each book."""
        return {symbol: book.sequence for symbol, book in self._books.items()}

    def levels(self, symbol: str, side: Side) -> list[Level]:
        """The levels of a side, best first."""
        book = self._books.get(symbol)
        return [] if book is None else book.levels(side)

    def _leaves(self, order_id: str) -> None:
        # An unknown order is reported by the ledger.
        order = self._orders.pop(order_id, None)
        if order is not None:
            book = self._books[order.symbol]
            self._touch(book, order)
            book.remove(order_id, order)

    def _touch(self, book: _Book, order: _Resting) -> None:
        if book.symbol not in self._changed:
            self._changed[book.symbol] = book
            self._books[book.symbol] = book
            book.sequence += 1
            book.changed = {}
        book.changed[order.side, order.price] = None

    def _enters(
        self,
        event: OrderAccepted,
        trades: Sequence[ExecutedTrade],
        outcome: Outcome,
        offset: int,
    ) -> None:
        where = f"{self._partition}@{offset} order {event.order_id}"
        book = self._books.get(event.symbol) or _Book(event.symbol)
        if isinstance(event, OrderEntered):
            self._look_at_conditions(book, event, where)
        left = event.quantity
        for trade in trades:
            fill = trade.fill
            self._look_at_fill(book, event, fill, left, where)
            left -= fill.quantity
            book.trades += 1
            name = trade_id(outcome.time, self._partition, offset, len(self.trades))
            if (fill.sequence, fill.trade_id) != (book.trades, name):
                self._sequences.fail(
                    f"{where}: trade {fill.trade_id} is #{fill.sequence} of {event.symbol}, "
                    f"expected {name} #{book.trades}"
                )
            self.trades.append(_trade(trade, outcome.time, offset))
            self._take(fill)
        self._look_at_what_is_left(book, event, len(outcome.expired), where)
        if event.closed_reason is None and event.price is not None:
            resting = _Resting(
                event.symbol, event.side, event.price, event.remaining_quantity, event.valid_until
            )
            # Two open orders with one id are reported by the ledger.
            self._leaves(event.order_id)
            self._orders[event.order_id] = resting
            self._touch(book, resting)
            book.add(event.order_id, resting)

    def _take(self, fill: Fill) -> None:
        maker = self._orders.get(fill.maker_order_id)
        if maker is None:
            return
        book = self._books[maker.symbol]
        self._touch(book, maker)
        book.leave(maker, fill.maker_remaining_quantity)
        if maker.remaining <= 0:
            self._leaves(fill.maker_order_id)

    def _look_at_fill(
        self, book: _Book, event: OrderAccepted, fill: Fill, left: int, where: str
    ) -> None:
        self._priority.checked += 1
        first = book.first(_opposite(event.side))
        took = f"{where} took {fill.quantity} at {fill.price} of {fill.maker_order_id}"
        if first is None:
            self._priority.fail(f"{took}, the book had none")
            return
        name, order = first
        if (fill.maker_order_id, fill.price) != (name, order.price):
            self._priority.fail(f"{took}, first was {name} at {order.price}")
        elif fill.quantity != min(left, order.remaining):
            self._priority.fail(f"{took}, {left} were wanted and {order.remaining} there")
        if not _crosses(event, fill.price):
            self._priority.fail(f"{took}, beyond its limit of {event.price}")

    def _look_at_conditions(self, book: _Book, event: OrderEntered, where: str) -> None:
        self._conditions.checked += 1
        at_once = self._at_once(book, event, needed(event)) if is_killed(event) else 0
        broken = broken_condition(event, at_once)
        if broken is not None:
            self._conditions.fail(f"{where}: {broken}")

    def _look_at_post_only(self, command: Command | None, offset: int) -> None:
        """Check that a refused post-only order would have traded."""
        self._conditions.checked += 1
        if isinstance(command, PlaceOrder):
            book = self._books.get(command.symbol) or _Book(command.symbol)
            if not self._at_once(book, command, 1):
                where = f"{self._partition}@{offset} order {command.order_id}"
                self._conditions.fail(f"{where}: nothing would have traded")

    def _at_once(self, book: _Book, order: PlaceOrder | OrderAccepted, wanted: int) -> int:
        """The shares that an order would trade at once, at most `wanted`."""
        found = 0
        for step, maker in enumerate(book.waiting(_opposite(order.side))):
            if step == self._rules.fills_max or not _crosses(order, maker.price):
                break
            if maker.valid_until is None or maker.valid_until > self.clock:
                found += maker.remaining
        return min(found, wanted)

    def _look_at_what_is_left(
        self, book: _Book, event: OrderAccepted, expired: int, where: str
    ) -> None:
        """Check that an order gave up nothing it could have had, and rests only where it may."""
        reason = event.closed_reason
        if reason in ("filled", "expired"):
            return
        if is_killed(event):
            return
        first = book.first(_opposite(event.side))
        # The bound includes orders that expired during matching.
        bound = len(self.trades) + expired >= self._rules.fills_max
        if first is not None and _crosses(event, first[1].price):
            # An order that rests all the same leaves a crossed book, which another check reports.
            wrong = reason == "no_liquidity" or (reason == "cancelled" and not bound)
        elif never_rests(event):
            wrong = reason != "no_liquidity"
        else:
            wrong = reason is not None
        if wrong:
            there = "no order" if first is None else f"{first[0]} at {first[1].price}"
            self._priority.fail(f"{where} became {reason or 'open'}, first was {there}")

    def _look_at_sequences(self, outcome: Outcome, offset: int) -> None:
        events: list[Expired | OrderAccepted | OrderCancelled | InstrumentSet]
        events = [*outcome.expired]
        for step, _ in steps_of(outcome):
            if isinstance(step, OrderAccepted | OrderCancelled | InstrumentSet):
                events.append(step)
        for event in events:
            self._sequences.checked += 1
            book = self._books.get(event.symbol)
            kept = 0 if book is None else book.sequence
            if event.book_sequence != kept:
                self._sequences.fail(
                    f"{self._partition}@{offset} {event.symbol}: book #{event.book_sequence}, "
                    f"expected #{kept}"
                )

    def _look_at_ends(self, book: _Book, offset: int) -> None:
        bid, ask = book.first("bid"), book.first("ask")
        if bid is not None and ask is not None and bid[1].price >= ask[1].price:
            self._crossed.fail(
                f"{self._partition}@{offset} {book.symbol}: bid {bid[1].price}, ask {ask[1].price}"
            )

    def _update(self, book: _Book, time: int, offset: int, index: int) -> BookUpdate:
        due = book.sequence == 1 or book.sequence % self._rules.whole_book_every == 0
        bids, asks = book.levels("bid") if due else [], book.levels("ask") if due else []
        whole = due and len(bids) + len(asks) <= self._rules.whole_book_levels_max
        if not whole:
            bids, asks = _changed(book, "bid"), _changed(book, "ask")
        return BookUpdate(
            book.symbol, book.sequence, time, offset, index, tuple(bids), tuple(asks), whole
        )


def _key(side: Side, price: int) -> int:
    return -price if side == "bid" else price


def _opposite(side: Side) -> Side:
    return "ask" if side == "bid" else "bid"


def _crosses(event: PlaceOrder | OrderAccepted, price: int) -> bool:
    if event.price is None:
        return True
    return event.price >= price if event.side == "bid" else event.price <= price


def _changed(book: _Book, side: Side) -> list[Level]:
    keys = sorted(_key(side, price) for at, price in book.changed if at == side)
    return [book.level(side, abs(key)) for key in keys]


def _trade(trade: ExecutedTrade, time: int, offset: int) -> Trade:
    fill = trade.fill
    return Trade(
        trade.taker.symbol,
        fill.sequence,
        fill.trade_id,
        time,
        fill.price,
        fill.quantity,
        trade.taker.side,
        offset,
        trade.index,
    )
