"""One symbol's resting orders, as an audit rebuilds them from outcomes.

Pure, and independent of the engine: queues and totals are implemented here a second time.
"""

from collections import OrderedDict
from collections.abc import Iterator

from msgspec import Struct
from sortedcontainers import SortedDict

from schemas.book import Level
from schemas.units import Side


class Resting(Struct):
    """An open order."""

    symbol: str
    side: Side
    price: int
    remaining: int
    valid_until: int | None


class _Level(Struct):
    """The orders of a level, oldest first; `total` is the sum of their remaining quantities."""

    orders: OrderedDict[str, Resting]
    total: int = 0


class RestingBook:
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

    def add(self, order_id: str, order: Resting) -> None:
        """Queue an order behind the others at its price."""
        levels, key = self._sides[order.side], _key(order.side, order.price)
        if key not in levels:
            levels[key] = _Level(OrderedDict())
        levels[key].orders[order_id] = order
        levels[key].total += order.remaining

    def leave(self, order: Resting, remaining: int) -> None:
        """Set the remaining quantity of an order."""
        level = self._sides[order.side][_key(order.side, order.price)]
        level.total += remaining - order.remaining
        order.remaining = remaining

    def remove(self, order_id: str, order: Resting) -> None:
        """Remove an order."""
        self.leave(order, 0)
        levels, key = self._sides[order.side], _key(order.side, order.price)
        del levels[key].orders[order_id]
        if not levels[key].orders:
            del levels[key]

    def first(self, side: Side) -> tuple[str, Resting] | None:
        """The order of a side that trades next, with its id; None: there is none."""
        levels = self._sides[side]
        return next(iter(levels.peekitem(0)[1].orders.items())) if levels else None

    def waiting(self, side: Side) -> Iterator[Resting]:
        """The orders of a side in the order they would trade."""
        for level in self._sides[side].values():
            yield from level.orders.values()

    def level(self, side: Side, price: int) -> Level:
        """Totals at a price; zeros if there is no order."""
        found = self._sides[side].get(_key(side, price))
        return Level(price, found.total, len(found.orders)) if found else Level(price, 0, 0)

    def levels(self, side: Side) -> list[Level]:
        """The levels of a side, best first."""
        return [self.level(side, abs(key)) for key in self._sides[side]]

    def changed_levels(self, side: Side) -> list[Level]:
        """The levels of a side that the latest outcome changed, best first."""
        keys = sorted(_key(side, price) for at, price in self.changed if at == side)
        return [self.level(side, abs(key)) for key in keys]


def _key(side: Side, price: int) -> int:
    return -price if side == "bid" else price
