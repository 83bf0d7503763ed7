"""One symbol's order book: two sides of price levels, each level a queue in order of arrival.

Pure. Keeps quantities and counts; `engine` decides which orders match. Removing an order takes
constant time: it is only marked, by `remaining` 0, and its place in the queue is freed later. The
best price comes from a heap of prices, from which those without a level are dropped later too.
"""

from collections.abc import Iterator
from heapq import heappop, heappush, nsmallest

from msgspec import Struct
from msgspec.structs import astuple

from schemas.book import Level
from schemas.units import SelfTradePrevention, Side
from services.matcher.instrument import Instrument

# Prices without a level that a heap may hold in addition to as many as there are levels.
PRICES_SLACK = 64


class Order(Struct, gc=False, eq=False):
    """An open order; closed when `remaining` is 0.

    `accepted_at` is the offset of the command that placed it. `document_number`: empty unless it
    entered a symbol with an instrument; only such an order has a `self_trade_prevention`.
    """

    order_id: str
    broker_id: str
    symbol: str
    side: Side
    price: int
    remaining: int
    valid_until: int | None
    accepted_at: int
    document_number: str
    self_trade_prevention: SelfTradePrevention | None

    @property
    def unfilled(self) -> int:
        """The remaining quantity, with its hidden part."""
        return self.remaining


class IcebergOrder(Order, gc=False, eq=False):
    """An order of which the book shows `remaining` alone, one slice of it.

    Once that is filled, the next slice leaves `hidden`: `display` of it, 0: all of it.
    """

    display: int
    hidden: int

    @classmethod
    def showing_a_slice(cls, order: Order, display: int) -> "IcebergOrder":
        """An order with the values of this one, of which the book shows its first slice."""
        iceberg = cls(*(*astuple(order), display, order.remaining))
        iceberg.show_slice()
        return iceberg

    @property
    def unfilled(self) -> int:
        """The remaining quantity, with its hidden part."""
        return self.remaining + self.hidden

    def show_slice(self) -> None:
        """Show the next slice of the hidden part, once all that was shown is filled."""
        self.remaining = min(self.display or self.hidden, self.hidden)
        self.hidden -= self.remaining


# Fills the former place of an order that has a later place now.
_VACANT = Order("", "", "", "bid", 0, 0, None, 0, "", None)


class PriceLevel:
    """All open orders at one price, oldest first.

    `queue` also contains closed orders, at most a quarter as many as open ones and one more; those
    before `first` are all closed. `count` and `total` are of the open orders, `total` of their
    visible quantities.
    """

    __slots__ = ("count", "first", "key", "price", "queue", "total")

    def __init__(self, key: int, order: Order) -> None:
        self.key = key
        self.price = order.price
        self.total = order.remaining
        self.count = 1
        self.queue = [order]
        self.first = 0

    def oldest(self) -> Order:
        """The oldest open order, which trades next. The level must not be empty."""
        queue, first = self.queue, self.first
        while not queue[first].remaining:
            first += 1
        self.first = first
        return queue[first]

    def open_orders(self) -> list[Order]:
        """The open orders, oldest first."""
        return [order for order in self.queue if order.remaining]

    def requeue(self, order: IcebergOrder) -> None:
        """Add the oldest order, whose slice is filled, with its next one behind all others."""
        order.show_slice()
        self.total += order.remaining
        self.queue[self.first] = _VACANT
        self.queue.append(order)
        self.count += 1

    def as_message(self) -> Level:
        """The level as published."""
        return Level(self.price, self.total, self.count)


class BookSide:
    """The levels of one side. `best`: the level that trades next; None if there is none.

    Levels have keys by which the best comes first: prices, negated for bids.
    """

    __slots__ = ("_keys", "_levels", "_sign", "best")

    def __init__(self, side: Side) -> None:
        self._sign = -1 if side == "bid" else 1
        self._levels: dict[int, PriceLevel] = {}
        # A heap with the key of every level, and of levels that are gone.
        self._keys: list[int] = []
        self.best: PriceLevel | None = None

    def add(self, order: Order) -> int:
        """Queue the order behind all others at its price, and return the key of its level."""
        key = self._sign * order.price
        level = self._levels.get(key)
        if level is not None:
            level.queue.append(order)
            level.total += order.remaining
            level.count += 1
            return key
        level = self._levels[key] = PriceLevel(key, order)
        heappush(self._keys, key)
        best = self.best
        if best is None or key < best.key:
            self.best = level
        return key

    def take(self, level: PriceLevel, order: Order, quantity: int) -> None:
        """Fill `quantity` of a level's oldest order, at most its visible quantity; close it when
        all of it is filled."""
        order.remaining -= quantity
        level.total -= quantity
        if not order.remaining:
            # One place of the level becomes free in both cases.
            if type(order) is IcebergOrder and order.hidden:
                level.requeue(order)
            self._closed(level)

    def reduce(self, order: Order, quantity: int) -> int:
        """Reduce an order's visible quantity by less than all of it; it keeps its place. Returns
        the key of its level."""
        key = self._sign * order.price
        order.remaining -= quantity
        self._levels[key].total -= quantity
        return key

    def remove(self, order: Order) -> int:
        """Close an order with its remaining quantity, and return the key of its level."""
        key = self._sign * order.price
        level = self._levels[key]
        level.total -= order.remaining
        order.remaining = 0
        self._closed(level)
        return key

    def _closed(self, level: PriceLevel) -> None:
        level.count = count = level.count - 1
        if not count:
            self._drop(level)
        elif len(level.queue) > count + count // 4 + 1:
            level.queue = level.open_orders()
            level.first = 0

    def _drop(self, level: PriceLevel) -> None:
        levels, keys = self._levels, self._keys
        del levels[level.key]
        if len(keys) > 2 * len(levels) + PRICES_SLACK:
            # A sorted list is a heap.
            keys = self._keys = sorted(levels)
        if level is self.best:
            # A key may be in the heap more than once.
            while keys and keys[0] not in levels:
                heappop(keys)
            self.best = levels[keys[0]] if keys else None

    def level(self, price: int) -> Level:
        """Totals at a price; zeros if there is no order."""
        return self.level_of(self._sign * price)

    def level_of(self, key: int) -> Level:
        """Totals of the level with this key; zeros if there is no order."""
        level = self._levels.get(key)
        if level is None:
            return Level(abs(key), 0, 0)
        return Level(level.price, level.total, level.count)

    def levels(self, depth: int | None = None) -> list[Level]:
        """The best `depth` levels, or all, best first."""
        levels = self._levels
        keys = sorted(levels) if depth is None else nsmallest(depth, levels)
        return [levels[key].as_message() for key in keys]

    def orders(self) -> Iterator[Order]:
        """Every order in priority order."""
        for key in sorted(self._levels):
            yield from self._levels[key].open_orders()

    def levels_within(self, limit: int | None) -> Iterator[PriceLevel]:
        """Levels at this price or better for their taker, best first; None: all."""
        best, levels = self.best, self._levels
        if best is None or (limit is not None and best.key > self._sign * limit):
            return
        yield best
        # Most takers need only the best level; the others are sorted when it is not enough.
        keys = levels if limit is None else (key for key in levels if key <= self._sign * limit)
        for key in sorted(keys)[1:]:
            yield levels[key]

    def __len__(self) -> int:
        return len(self._levels)


class Book:
    """One symbol's market. `sequence` counts the commands that changed the book, from 1.

    `changed` holds the keys of the levels that the latest of them changed, perhaps repeatedly: the
    price of asks, the negated price of bids. `trade_sequence` is the number of trades so far.
    `instrument`: the symbol's rules; None: it has none.
    """

    __slots__ = ("asks", "bids", "changed", "instrument", "sequence", "symbol", "trade_sequence")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids = BookSide("bid")
        self.asks = BookSide("ask")
        self.sequence = 0
        self.trade_sequence = 0
        self.instrument: Instrument | None = None
        self.changed: list[int] = []

    def side(self, side: Side) -> BookSide:
        """The side of the book for orders of this side."""
        return self.bids if side == "bid" else self.asks

    def level(self, side: Side, price: int) -> Level:
        """Totals at a price; zeros if there is no order."""
        return self.side(side).level(price)

    def levels(self, side: Side, depth: int | None = None) -> list[Level]:
        """The levels of a side, best first."""
        return self.side(side).levels(depth)

    def changed_levels(self) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """The bids and asks that the latest command changed, best first; zeros if emptied."""
        changed = self.changed
        if len(changed) == 1:
            # Most commands change one level.
            key = changed[0]
            if key < 0:
                return (self.bids.level_of(key),), ()
            return (), (self.asks.level_of(key),)
        keys = sorted(set(changed))
        return (
            tuple(self.bids.level_of(key) for key in keys if key < 0),
            tuple(self.asks.level_of(key) for key in keys if key > 0),
        )

    def orders(self, side: Side) -> Iterator[Order]:
        """The orders of a side in priority order."""
        return self.side(side).orders()

    def all_orders(self) -> Iterator[Order]:
        """The orders of both sides, bids first, each side in priority order."""
        yield from self.bids.orders()
        yield from self.asks.orders()
