"""View of order books: price levels with their totals, from events alone.

Pure. It holds no single order: each change comes with side and price. The levels of a side are
sorted from its first query on: most books of a gateway are never read.
"""

from collections.abc import Iterator
from itertools import islice

from sortedcontainers import SortedDict

from schemas.book import Level
from schemas.rest import LevelResource
from schemas.units import Side
from services.runtime.errors import BrokenLogError


class BookView:
    """One symbol's levels; `sequence` counts the commands that changed it."""

    __slots__ = ("_asks", "_bids", "sequence")

    def __init__(self) -> None:
        self.sequence = 0
        # Price to [total, orders]: a dict, or a SortedDict after the first query.
        self._bids: dict[int, list[int]] = {}
        self._asks: dict[int, list[int]] = {}

    def _side(self, side: Side) -> dict[int, list[int]]:
        return self._bids if side == "bid" else self._asks

    def _best_first(self, side: Side, depth: int | None) -> Iterator[tuple[int, list[int]]]:
        levels = self._side(side)
        if not isinstance(levels, SortedDict):
            levels = SortedDict(levels)
            if side == "bid":
                self._bids = levels
            else:
                self._asks = levels
        prices = reversed(levels) if side == "bid" else iter(levels)
        return ((price, levels[price]) for price in islice(prices, depth))

    def add(self, side: Side, price: int, quantity: int) -> None:
        """Add a resting order."""
        levels = self._side(side)
        level = levels.get(price)
        if level is None:
            levels[price] = [quantity, 1]
        else:
            level[0] += quantity
            level[1] += 1

    def take(self, side: Side, price: int, quantity: int, *, leaves: bool) -> None:
        """Remove quantity from a level; `leaves`: with its order. Raises BrokenLogError."""
        levels = self._side(side)
        level = levels.get(price)
        if level is None:
            raise BrokenLogError(f"no {side} level at {price} to take {quantity} from")
        level[0] -= quantity
        level[1] -= leaves
        if level[0] < 0 or (level[0] == 0) != (level[1] == 0):
            raise BrokenLogError(f"the {side} level at {price} is left with {level}")
        if level[1] == 0:
            del levels[price]

    def level(self, side: Side, price: int) -> Level:
        """Totals at a price; zeros if there is no order."""
        level = self._side(side).get(price)
        return Level(price, 0, 0) if level is None else Level(price, *level)

    def levels(self, side: Side, depth: int | None = None) -> tuple[Level, ...]:
        """At most `depth` levels, or all, best price first."""
        return tuple(Level(price, *totals) for price, totals in self._best_first(side, depth))

    def depth(self, side: Side) -> int:
        """Number of levels of a side."""
        return len(self._side(side))

    def best(self, side: Side, depth: int) -> list[LevelResource]:
        """At most `depth` levels, best price first."""
        return [LevelResource(price, *totals) for price, totals in self._best_first(side, depth)]
