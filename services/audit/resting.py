"""One symbol's resting orders, as an audit rebuilds them from outcomes.

Pure, and independent of the engine: queues and totals are implemented here a second time.
"""

from collections import OrderedDict
from collections.abc import Iterator

from msgspec import Struct
from sortedcontainers import SortedDict

from schemas.book import BookUpdate, Level
from schemas.snapshots import IcebergRow, OrderRow
from schemas.units import Side
from services.matcher.rules import Rules


class Resting(Struct):
    """An open order. `display`: the size of its slices; 0: all; None: no iceberg order.

    `shown`: the part of `remaining` that the book shows.
    """

    symbol: str
    side: Side
    price: int
    remaining: int
    valid_until: int | None
    display: int | None = None
    shown: int = 0

    def slice(self) -> int:
        """The part that the book shows next of the order."""
        return min(self.display or self.remaining, self.remaining)

    def is_due(self, clock: int) -> bool:
        """True if the order expires at this time, and trades no more."""
        return self.valid_until is not None and self.valid_until <= clock


class _Level(Struct):
    """The orders of a level, oldest first; `total` is the sum of their visible quantities."""

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
        """Queue an order behind the others at its price, where it shows a slice unless it shows
        something already."""
        order.shown = order.shown or order.slice()
        levels, key = self._sides[order.side], _key(order.side, order.price)
        if key not in levels:
            levels[key] = _Level(OrderedDict())
        levels[key].orders[order_id] = order
        levels[key].total += order.shown

    def cut(self, order: Resting, remaining: int) -> None:
        """Reduce an order that keeps its place: the hidden quantity first, then the visible one."""
        order.remaining = remaining
        self._show(order, min(order.shown, remaining))

    def fill(self, order_id: str, order: Resting, quantity: int, remaining: int) -> None:
        """Fill an order: the next slice of an iceberg order is behind the others at its price."""
        order.remaining = remaining
        left = remaining if order.display is None else order.shown - quantity
        self._show(order, left)
        if left <= 0 < remaining:
            self._show(order, order.slice())
            level = self._sides[order.side][_key(order.side, order.price)]
            level.orders.move_to_end(order_id)

    def _show(self, order: Resting, quantity: int) -> None:
        level = self._sides[order.side][_key(order.side, order.price)]
        level.total += quantity - order.shown
        order.shown = quantity

    def remove(self, order_id: str, order: Resting) -> None:
        """Remove an order."""
        self.cut(order, 0)
        levels, key = self._sides[order.side], _key(order.side, order.price)
        del levels[key].orders[order_id]
        if not levels[key].orders:
            del levels[key]

    def first(self, side: Side) -> tuple[str, Resting] | None:
        """The order of a side that trades next, with its id; None: there is none."""
        levels = self._sides[side]
        return next(iter(levels.peekitem(0)[1].orders.items())) if levels else None

    def steps(self, side: Side, clock: int) -> Iterator[tuple[str, int, int]]:
        """Id, price and quantity of each step in which the orders of a side would trade, in order.

        An order that is due takes a step and trades nothing.
        """
        for level in self._sides[side].values():
            hidden = []
            for name, order in level.orders.items():
                yield name, order.price, 0 if order.is_due(clock) else order.shown
                if not order.is_due(clock):
                    hidden.append((name, order.price, order.display, order.remaining - order.shown))
            while hidden := [one for one in hidden if one[3] > 0]:
                for turn, (name, price, display, left) in enumerate(hidden):
                    taken = min(display or left, left)
                    yield name, price, taken
                    hidden[turn] = (name, price, display, left - taken)

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

    def update(self, time: int, offset: int, index: int, rules: Rules) -> BookUpdate:
        """The public record of the changes by the latest outcome, of the command at `offset`."""
        due = self.sequence == 1 or self.sequence % rules.whole_book_every == 0
        bids, asks = self.levels("bid") if due else [], self.levels("ask") if due else []
        whole = due and len(bids) + len(asks) <= rules.whole_book_levels_max
        if not whole:
            bids, asks = self.changed_levels("bid"), self.changed_levels("ask")
        return BookUpdate(
            self.symbol, self.sequence, time, offset, index, tuple(bids), tuple(asks), whole
        )


def opposite(side: Side) -> Side:
    """The side that an order of `side` trades with."""
    return "ask" if side == "bid" else "bid"


def carried(order: OrderRow, iceberg: IcebergRow | None) -> Resting:
    """An order of a snapshot."""
    shown = order.remaining_quantity
    resting = Resting(order.symbol, order.side, order.price, shown, order.valid_until)
    if iceberg is not None:
        resting.remaining += iceberg.hidden_quantity
        resting.display, resting.shown = iceberg.display_quantity, shown
    return resting


def _key(side: Side, price: int) -> int:
    return -price if side == "bid" else price
