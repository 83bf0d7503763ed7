"""One symbol's order book: two sides of price levels, each level a queue in order of arrival.

Pure. Keeps quantities and counts; `engine` decides which orders match.
"""

from collections import OrderedDict
from collections.abc import Iterator

from msgspec import Struct
from sortedcontainers import SortedDict

from schemas.book import Level
from schemas.units import Side


class Order(Struct, gc=False):
    """An open order. `accepted_at` is the offset of the command that placed it."""

    order_id: str
    broker_id: str
    symbol: str
    side: Side
    price: int
    remaining: int
    valid_until: int | None
    accepted_at: int


class PriceLevel:
    """All open orders at one price, oldest first.

    An OrderedDict, not a dict: finding the first key of a dict after many deletions at its front
    takes time proportional to the deleted entries.
    """

    __slots__ = ("orders", "price", "total")

    def __init__(self, price: int) -> None:
        self.price = price
        self.total = 0
        self.orders: OrderedDict[str, Order] = OrderedDict()

    def oldest(self) -> Order:
        """The oldest order, which trades next. The level must not be empty."""
        return next(iter(self.orders.values()))

    def as_message(self) -> Level:
        """The level as published."""
        return Level(self.price, self.total, len(self.orders))


class BookSide:
    """The levels of one side, best first: keys are prices, negated for bids."""

    __slots__ = ("_levels", "_sign", "best")

    def __init__(self, side: Side) -> None:
        self._sign = -1 if side == "bid" else 1
        self._levels: SortedDict[int, PriceLevel] = SortedDict()
        self.best: PriceLevel | None = None

    def add(self, order: Order) -> None:
        """Queue the order behind all others at its price."""
        key = self._sign * order.price
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = PriceLevel(order.price)
            best = self.best
            if best is None or key < self._sign * best.price:
                self.best = level
        level.orders[order.order_id] = order
        level.total += order.remaining

    def take(self, level: PriceLevel, order: Order, quantity: int) -> None:
        """Fill `quantity` of an order of this level; remove the order when it is filled."""
        order.remaining -= quantity
        level.total -= quantity
        if order.remaining == 0:
            del level.orders[order.order_id]
            if not level.orders:
                self._drop(level)

    def remove(self, order: Order) -> None:
        """Remove an order with its remaining quantity."""
        level = self._levels[self._sign * order.price]
        del level.orders[order.order_id]
        level.total -= order.remaining
        if not level.orders:
            self._drop(level)

    def _drop(self, level: PriceLevel) -> None:
        del self._levels[self._sign * level.price]
        if level is self.best:
            self.best = self._levels.peekitem(0)[1] if self._levels else None

    def level(self, price: int) -> Level:
        """Totals at a price; zeros if there is no order."""
        level = self._levels.get(self._sign * price)
        return Level(price, 0, 0) if level is None else level.as_message()

    def levels(self, depth: int | None = None) -> list[Level]:
        """The best `depth` levels, or all."""
        found = self._levels.values()
        return [level.as_message() for level in (found if depth is None else found[:depth])]

    def orders(self) -> Iterator[Order]:
        """Every order in priority order."""
        for level in self._levels.values():
            yield from level.orders.values()

    def __len__(self) -> int:
        return len(self._levels)


class Book:
    """One symbol's market. `sequence` counts the commands that changed the book, from 1.

    `changed` holds the sides and prices that the latest of them changed; `trade_sequence` is the
    number of trades so far.
    """

    __slots__ = ("asks", "bids", "changed", "sequence", "symbol", "trade_sequence")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids = BookSide("bid")
        self.asks = BookSide("ask")
        self.sequence = 0
        self.trade_sequence = 0
        self.changed: dict[tuple[Side, int], None] = {}

    def side(self, side: Side) -> BookSide:
        """The side of the book for orders of this side."""
        return self.bids if side == "bid" else self.asks

    def level(self, side: Side, price: int) -> Level:
        """Totals at a price; zeros if there is no order."""
        return self.side(side).level(price)

    def levels(self, side: Side, depth: int | None = None) -> list[Level]:
        """The levels of a side, best first."""
        return self.side(side).levels(depth)

    def orders(self, side: Side) -> Iterator[Order]:
        """The orders of a side in priority order."""
        return self.side(side).orders()
