"""What must hold after every command: outcomes recomputed, and held against the books.

Knows nothing of how the engine works: it keeps its own ledger of orders and its own public book.
"""

from msgspec import Struct

from schemas.book import BookUpdate, Level
from schemas.commands import Command, PlaceOrder
from schemas.executions import Expired, Fill, OrderAccepted, OrderCancelled, Outcome
from schemas.ids import trade_id
from schemas.trades import Trade
from schemas.units import Side
from services.matcher.engine import Engine, EnginePosition, Rules
from services.matcher.market_data import book_updates, trades_of

SIDES: tuple[Side, Side] = ("bid", "ask")


def opposite(side: Side) -> Side:
    """The side that an order of `side` trades with."""
    return "ask" if side == "bid" else "bid"


class Entry(Struct):
    """An order's account: quantity = remaining + filled until it closes."""

    event: OrderAccepted
    offset: int
    remaining: int
    filled: int


class PublicBook(Struct):
    """A symbol's book as an analyst folds it from the public topic."""

    sequence: int
    levels: dict[Side, dict[int, Level]]

    def fold(self, update: BookUpdate) -> None:
        assert update.sequence == self.sequence + 1, "the book's sequence has a gap or a repeat"
        self.sequence = update.sequence
        if update.whole:
            self.levels = {side: {} for side in SIDES}
        for side, changed in zip(SIDES, (update.bids, update.asks), strict=True):
            assert list(changed) == _best_first(side, list(changed)), "levels are not best first"
            assert len({level.price for level in changed}) == len(changed), "a level is told twice"
            for level in changed:
                self.levels[side][level.price] = level
                if level.total_quantity == 0:
                    assert not update.whole, "a whole book tells of a level that is gone"
                    assert level.order_count == 0, "a level without shares has orders"
                    del self.levels[side][level.price]

    def side(self, side: Side) -> list[Level]:
        return _best_first(side, list(self.levels[side].values()))


def _best_first(side: Side, levels: list[Level]) -> list[Level]:
    return sorted(levels, key=lambda level: level.price, reverse=side == "bid")


class Audit:
    """Follows one engine. `check` is called after each command with what the engine made of it."""

    def __init__(self, engine: Engine, rules: Rules) -> None:
        self.engine = engine
        self.rules = rules
        self.clock = 0
        self.open: dict[str, Entry] = {}
        self.books: dict[str, PublicBook] = {}
        self.trade_sequence: dict[str, int] = {}
        self.shares: dict[tuple[str, str], int] = {}
        self.cash: dict[str, int] = {}
        self.changed: set[str] = set()

    def check(self, command: Command | None, at: EnginePosition, outcome: Outcome) -> None:
        """Raises AssertionError at the first thing that is not as it must be."""
        self.changed = set()
        assert outcome.time == max(self.clock, at.timestamp), "the clock is not the log's"
        self.clock = outcome.time
        trades = trades_of(outcome, at)
        updates = book_updates(outcome, at, self.engine)
        for one in outcome.expired:
            self._expired(one)
        if isinstance(outcome.event, OrderAccepted):
            assert isinstance(command, PlaceOrder)
            self._accepted(command, outcome.event, at)
            assert trades == self._expected_trades(outcome.event, at), "trades are not the fills"
        else:
            assert trades == [], "a trade without a fill"
        if isinstance(outcome.event, OrderCancelled):
            entry = self._left(outcome.event.order_id, outcome.event.remaining_quantity)
            assert entry.event.broker_id == outcome.event.broker_id, "cancelled by a stranger"
        self._follow_book(updates, at)
        self._check_sequences(outcome)
        self._check_books()
        assert sum(self.shares.values()) == 0, "bought is not sold"
        assert sum(self.cash.values()) == 0, "cash was made or lost"

    def _expired(self, one: Expired) -> None:
        entry = self._left(one.order_id, one.remaining_quantity)
        until = entry.event.valid_until
        assert until is not None, "an order without an end expired"
        assert until <= self.clock, "an order expired too early"

    def _left(self, order_id: str, remaining: int) -> Entry:
        """The order leaves the book; only an open one can, and only with what is left of it."""
        assert order_id in self.open, "an order that is not open left the book"
        entry = self.open.pop(order_id)
        assert entry.event.quantity == entry.filled + remaining, "quantity is not filled + rest"
        self.changed.add(entry.event.symbol)
        return entry

    def _accepted(self, command: PlaceOrder, event: OrderAccepted, at: EnginePosition) -> None:
        assert command.order_id not in self.open, "an open order was accepted again"
        fields = ("broker_id", "symbol", "side", "order_type", "quantity", "price", "valid_until")
        for field in ("order_id", "document_number", "client_order_id", *fields):
            assert getattr(event, field) == getattr(command, field), f"{field} is not the command's"
        for fill in event.fills:
            self._filled(event, fill)
        filled = sum(fill.quantity for fill in event.fills)
        assert event.quantity == filled + event.remaining_quantity, "quantity is not filled + rest"
        assert (event.closed_reason == "filled") == (event.remaining_quantity == 0)
        if event.closed_reason is None:
            assert event.order_type == "limit", "a market order rests"
            self.open[event.order_id] = Entry(event, at.offset, event.remaining_quantity, filled)
            self.changed.add(event.symbol)

    def _filled(self, taker: OrderAccepted, fill: Fill) -> None:
        assert taker.valid_until is None or self.clock < taker.valid_until, "a dead order traded"
        queue = self._queue(taker.symbol, opposite(taker.side))
        assert queue, "a fill without a counterparty"
        maker = queue[0]
        assert maker.event.order_id == fill.maker_order_id, "not the best price's oldest order"
        assert maker.event.broker_id == fill.maker_broker_id, "the maker's broker is another"
        assert maker.event.price == fill.price, "not at the resting order's price"
        until = maker.event.valid_until
        assert until is None or self.clock < until, "a fill at or after valid_until"
        if taker.price is not None:
            improvement = taker.price - fill.price
            assert (improvement if taker.side == "bid" else -improvement) >= 0, "beyond the limit"
        self._settle(taker, maker, fill)

    def _settle(self, taker: OrderAccepted, maker: Entry, fill: Fill) -> None:
        assert 0 < fill.quantity <= maker.remaining, "more was taken than was there"
        sold_by_maker = maker.remaining - fill.maker_remaining_quantity
        maker.remaining = fill.maker_remaining_quantity
        maker.filled += fill.quantity
        symbol = taker.symbol
        self.changed.add(symbol)
        if maker.remaining == 0:
            self._left(fill.maker_order_id, 0)
        sign = 1 if taker.side == "bid" else -1
        sides = (
            (taker.broker_id, sign * fill.quantity),
            (fill.maker_broker_id, -sign * sold_by_maker),
        )
        for broker, shares in sides:
            self.shares[broker, symbol] = self.shares.get((broker, symbol), 0) + shares
            self.cash[broker] = self.cash.get(broker, 0) - shares * fill.price

    def _expected_trades(self, event: OrderAccepted, at: EnginePosition) -> list[Trade]:
        trades = []
        for index, fill in enumerate(event.fills):
            sequence = self.trade_sequence.get(event.symbol, 0) + 1
            self.trade_sequence[event.symbol] = sequence
            assert fill.sequence == sequence, "the trades' sequence has a gap or a repeat"
            name = trade_id(self.clock, at.partition, at.offset, index)
            assert fill.trade_id == name, "the trade's id is not its position"
            trade = Trade(
                symbol=event.symbol,
                sequence=sequence,
                trade_id=name,
                time=self.clock,
                price=fill.price,
                quantity=fill.quantity,
                aggressor_side=event.side,
                command_offset=at.offset,
                index=index,
            )
            trades.append(trade)
        return trades

    def _follow_book(self, updates: list[BookUpdate], at: EnginePosition) -> None:
        assert {update.symbol for update in updates} == self.changed, "not the changed books"
        for index, update in enumerate(updates):
            assert (update.command_offset, update.index) == (at.offset, index), "wrong position"
            assert update.time == self.clock, "wrong time"
            empty = PublicBook(0, {side: {} for side in SIDES})
            book = self.books.setdefault(update.symbol, empty)
            book.fold(update)
            counted = update.sequence == 1 or update.sequence % self.rules.whole_book_every == 0
            levels = sum(len(book.levels[side]) for side in SIDES)
            small = levels <= self.rules.whole_book_levels_max
            assert update.whole == (counted and small), "a whole book at the wrong time"

    def _check_sequences(self, outcome: Outcome) -> None:
        events: list[Expired | OrderAccepted | OrderCancelled] = [*outcome.expired]
        if isinstance(outcome.event, OrderAccepted | OrderCancelled):
            events.append(outcome.event)
        for event in events:
            book = self.books.get(event.symbol)
            assert event.book_sequence == (book.sequence if book else 0), "wrong book sequence"

    def _queue(self, symbol: str, side: Side) -> list[Entry]:
        sign = -1 if side == "bid" else 1
        entries = [
            e for e in self.open.values() if (e.event.symbol, e.event.side) == (symbol, side)
        ]
        return sorted(entries, key=lambda e: (sign * (e.event.price or 0), e.offset))

    def _check_books(self) -> None:
        ends = [e.event.valid_until for e in self.open.values() if e.event.valid_until is not None]
        assert self.engine.next_expiry() == min(ends, default=None), "the next expiry is wrong"
        for symbol, book in self.engine.books.items():
            public = self.books.get(symbol)
            assert book.sequence == (public.sequence if public else 0)
            assert book.trade_sequence == self.trade_sequence.get(symbol, 0)
            best: dict[Side, int] = {}
            for side in SIDES:
                queue = self._queue(symbol, side)
                mine = [(e.event.order_id, e.remaining) for e in queue]
                theirs = [(o.order_id, o.remaining) for o in book.orders(side)]
                assert mine == theirs, "the queue is not in priority order, or not the open orders"
                levels = list(book.levels(side, 1_000))
                assert levels == _totals(queue), "a level is not the sum of its orders"
                assert levels == (public.side(side) if public else []), "the public book is another"
                if levels:
                    best[side] = levels[0].price
            if len(best) == len(SIDES):
                assert best["bid"] < best["ask"], "the book is crossed at rest"


def _totals(queue: list[Entry]) -> list[Level]:
    totals: dict[int, Level] = {}
    for entry in queue:
        price = entry.event.price or 0
        so_far = totals.get(price, Level(price, 0, 0))
        quantity = so_far.total_quantity + entry.remaining
        totals[price] = Level(price, quantity, so_far.order_count + 1)
    return list(totals.values())
