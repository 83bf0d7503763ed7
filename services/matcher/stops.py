"""Stop orders of one partition: parked by stop price, and elected in the order in which they take.

Pure. A stop is reached by a trade at its price or beyond. All that the trades of a pass have
reached is elected together: the greatest distance between stop price and trade first, then the
oldest. The trades of elected stops make the next pass.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from msgspec import structs
from sortedcontainers import SortedDict

from schemas.commands import EnterOrder
from schemas.executions import Fill
from schemas.order_rules import is_reached
from schemas.snapshots import StopRow
from services.matcher.book import Order


class StopOrder(Order, gc=False, eq=False):
    """An order outside the book that waits for its stop price. It has no fill yet.

    `trigger_price` 0: parked; otherwise it is elected, and waits for its turn to take. `place`: of
    those at the same distance, the lowest is elected first.
    """

    command: EnterOrder
    stop_price: int
    trigger_price: int
    place: int

    @classmethod
    def parked(
        cls, command: EnterOrder, accepted_at: int, place: int, trigger_price: int = 0
    ) -> "StopOrder":
        """The waiting order of a command with a stop price."""
        stop_price = command.stop_price or 0
        return cls(
            command.order_id,
            command.broker_id,
            command.symbol,
            command.side,
            command.price or stop_price,
            command.quantity,
            command.valid_until,
            accepted_at,
            command,
            stop_price,
            trigger_price,
            place,
        )

    def end(self, time: int) -> None:
        """Make it due from this time on, whether it still waits or takes."""
        self.valid_until = time
        self.command = structs.replace(self.command, valid_until=time)


class SymbolStops:
    """The stops of one symbol. `elected`: in the order in which they will take."""

    __slots__ = ("_asks", "_bids", "_high", "_low", "elected")

    def __init__(self) -> None:
        # By (stop price, place), those first that are reached first.
        self._bids: SortedDict[tuple[int, int], StopOrder] = SortedDict()
        self._asks: SortedDict[tuple[int, int], StopOrder] = SortedDict()
        self.elected: deque[StopOrder] = deque()
        # The highest and the lowest trade since the last pass; 0: none.
        self._high = self._low = 0

    def add(self, order: StopOrder) -> None:
        """Add a parked order, or the next elected one."""
        if order.trigger_price:
            self.elected.append(order)
        else:
            parked, key = self._place_of(order)
            parked[key] = order

    def remove(self, order: StopOrder) -> None:
        """Remove a waiting order."""
        if order.trigger_price:
            self.elected.remove(order)
        else:
            parked, key = self._place_of(order)
            del parked[key]

    def _place_of(
        self, order: StopOrder
    ) -> tuple["SortedDict[tuple[int, int], StopOrder]", tuple[int, int]]:
        if order.side == "bid":
            return self._bids, (order.stop_price, order.place)
        return self._asks, (-order.stop_price, order.place)

    def traded(self, low: int, high: int) -> bool:
        """Remember trades between these prices for the next pass. False: it would do nothing.

        No order is parked between a trade and its pass, so what the trade does not reach now, it
        never does.
        """
        if not (self._reaches(self._bids, high) or self._reaches(self._asks, low)):
            return bool(self.elected)
        self._high = max(self._high, high)
        self._low = min(self._low or low, low)
        return True

    @staticmethod
    def _reaches(parked: "SortedDict[tuple[int, int], StopOrder]", price: int) -> bool:
        """True if a trade at this price reaches a parked order of the side."""
        if not parked:
            return False
        order: StopOrder = parked.peekitem(0)[1]
        return is_reached(order.side, order.stop_price, price)

    def elect(self) -> None:
        """One pass: elect all that the trades since the last pass have reached."""
        if not self._high:
            return
        reached = [*self._reached(self._bids, self._high), *self._reached(self._asks, self._low)]
        self._high = self._low = 0
        reached.sort(key=lambda order: (-abs(order.trigger_price - order.stop_price), order.place))
        self.elected.extend(reached)

    def _reached(
        self, parked: "SortedDict[tuple[int, int], StopOrder]", price: int
    ) -> Iterator[StopOrder]:
        while self._reaches(parked, price):
            order: StopOrder = parked.popitem(0)[1]
            order.trigger_price = price
            yield order

    def parked(self) -> list[StopOrder]:
        """The parked orders, by place."""
        orders = [*self._bids.values(), *self._asks.values()]
        return sorted(orders, key=lambda order: order.place)

    def __len__(self) -> int:
        return len(self._bids) + len(self._asks) + len(self.elected)


class Stops:
    """The stops of all symbols that have any.

    `traded_symbols`: those whose trades since the last pass have reached stops, or that have
    elected ones. `carried`: those whose elected stops take with the next command.
    """

    def __init__(self) -> None:
        self.symbols: dict[str, SymbolStops] = {}
        self.traded_symbols: list[str] = []
        self.carried: list[str] = []
        # Those that may have elected stops.
        self._electing: dict[str, None] = {}

    def add(self, order: StopOrder) -> None:
        """Add a waiting order."""
        stops = self.symbols.get(order.symbol)
        if stops is None:
            stops = self.symbols[order.symbol] = SymbolStops()
        stops.add(order)
        if order.trigger_price:
            self._electing[order.symbol] = None

    def remove(self, order: StopOrder) -> None:
        """Remove a waiting order."""
        stops = self.symbols[order.symbol]
        stops.remove(order)
        if order.trigger_price and not stops.elected and order.symbol in self.carried:
            self.carried.remove(order.symbol)
        if not stops:
            del self.symbols[order.symbol]

    def traded(self, symbol: str, fills: Sequence[Fill]) -> None:
        """Remember the trades of one order, whose prices only rise or only fall."""
        if fills:
            first, last = fills[0].price, fills[-1].price
            self.compare(symbol, *((first, last) if first < last else (last, first)))

    def compare(self, symbol: str, low: int, high: int) -> None:
        """Remember trades of a symbol between these prices for its next pass."""
        stops = self.symbols.get(symbol)
        if stops is not None and stops.traded(low, high) and symbol not in self.traded_symbols:
            self.traded_symbols.append(symbol)

    def settle(self, is_trading: Callable[[str], bool]) -> None:
        """Elect what the last trades of a command have reached, for the next command to run.

        The elected stops of a symbol that is not trading wait until it is.
        """
        symbols, electing = self.symbols, self._electing
        for symbol in self.traded_symbols:
            if symbol in symbols:
                symbols[symbol].elect()
                electing[symbol] = None
        self.traded_symbols = []
        if electing:
            # Most trades elect nothing, whatever the number of symbols with stops.
            found = [name for name in electing if name in symbols and symbols[name].elected]
            self._electing = dict.fromkeys(found)
            self.carried = sorted(filter(is_trading, found))

    def next_elected(self, symbol: str) -> StopOrder | None:
        """The stop of a symbol that takes next, from another pass if need be; None: no more."""
        stops = self.symbols.get(symbol)
        if stops is None:
            return None
        if not stops.elected:
            stops.elect()
        return stops.elected[0] if stops.elected else None


def stop_rows(stops: Stops | None) -> tuple[StopRow, ...]:
    """All waiting orders as an immutable value: by symbol, elected ones first, in order."""
    if stops is None:
        return ()
    return tuple(
        StopRow(order.command, order.accepted_at, order.trigger_price)
        for symbol in sorted(stops.symbols)
        for of_symbol in (stops.symbols[symbol],)
        for order in (*of_symbol.elected, *of_symbol.parked())
    )
