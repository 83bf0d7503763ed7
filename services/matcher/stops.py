"""Stop orders of one partition: parked by stop price, and elected in the order in which they take.

Pure. A stop is reached by a trade at its price or beyond. All that the trades of a pass have
reached is elected together: the greatest distance between stop price and trade first, then the
oldest. The trades of elected stops make the next pass.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush

from msgspec import structs

from schemas.commands import EnterOrder
from schemas.snapshots import StopRow
from schemas.units import PRICE_CENTS_MAX, Side
from services.matcher.book import Order

# Places of stops that are gone, that a heap may hold in addition to as many as there are stops.
PLACES_SLACK = 64
# Above the key of every price.
_NEVER = PRICE_CENTS_MAX + 1


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
            command.document_number,
            command.self_trade_prevention,
            command,
            stop_price,
            trigger_price,
            place,
        )

    def end(self, time: int) -> None:
        """Make it due from this time on, whether it still waits or takes."""
        self.valid_until = time
        self.command = structs.replace(self.command, valid_until=time)


class ParkedStops:
    """The parked stops of one side. `first_key`: of those that a trade reaches first.

    A stop has the key of its price: that price, negated for asks. Trades at that key or above
    reach it.
    """

    __slots__ = ("_orders", "_places", "_sign", "first_key")

    def __init__(self, side: Side) -> None:
        self._sign = 1 if side == "bid" else -1
        self._orders: dict[tuple[int, int], StopOrder] = {}
        # A heap with the key and place of every order, and of orders that are gone.
        self._places: list[tuple[int, int]] = []
        self.first_key = _NEVER

    def add(self, order: StopOrder) -> None:
        """Add a parked order."""
        key = self._sign * order.stop_price
        place = key, order.place
        self._orders[place] = order
        heappush(self._places, place)
        self.first_key = min(self.first_key, key)

    def remove(self, order: StopOrder) -> None:
        """Remove a parked order."""
        del self._orders[self._sign * order.stop_price, order.place]
        self._drop_places()

    def reached(self, price: int) -> Iterator[StopOrder]:
        """Remove all that a trade at this price reaches, and give them that trigger price."""
        orders, places = self._orders, self._places
        while self.first_key <= self._sign * price:
            order = orders.pop(heappop(places))
            order.trigger_price = price
            self._drop_places()
            yield order

    def _drop_places(self) -> None:
        """Drop the places of orders that are gone, if they come first or there are too many."""
        orders, places = self._orders, self._places
        if len(places) > 2 * len(orders) + PLACES_SLACK:
            # A sorted list is a heap.
            places[:] = sorted(orders)
        # A place may be in the heap more than once.
        while places and places[0] not in orders:
            heappop(places)
        self.first_key = places[0][0] if places else _NEVER

    def orders(self) -> Iterable[StopOrder]:
        """The orders, in no order that matters."""
        return self._orders.values()

    def __len__(self) -> int:
        return len(self._orders)


class SymbolStops:
    """The stops of one symbol. `elected`: in the order in which they will take."""

    __slots__ = ("_asks", "_bids", "_high", "_low", "elected")

    def __init__(self) -> None:
        self._bids = ParkedStops("bid")
        self._asks = ParkedStops("ask")
        self.elected: deque[StopOrder] = deque()
        # The highest and the lowest trade since the last pass; 0: none.
        self._high = self._low = 0

    def add(self, order: StopOrder) -> None:
        """Add a parked order, or the next elected one."""
        if order.trigger_price:
            self.elected.append(order)
        else:
            self._parked(order).add(order)

    def remove(self, order: StopOrder) -> None:
        """Remove a waiting order."""
        if order.trigger_price:
            self.elected.remove(order)
        else:
            self._parked(order).remove(order)

    def _parked(self, order: StopOrder) -> ParkedStops:
        return self._bids if order.side == "bid" else self._asks

    def traded(self, first: int, last: int) -> bool:
        """Remember trades between these prices for the next pass. False: it would do nothing.

        No order is parked between a trade and its pass, so a stop that the trade does not reach
        now, it never reaches.
        """
        low, high = (first, last) if first < last else (last, first)
        if high < self._bids.first_key and -low < self._asks.first_key:
            return bool(self.elected)
        self._high = max(self._high, high)
        self._low = min(self._low or low, low)
        return True

    def elect(self) -> None:
        """One pass: elect all that the trades since the last pass have reached."""
        if not self._high:
            return
        reached = [*self._bids.reached(self._high), *self._asks.reached(self._low)]
        self._high = self._low = 0
        reached.sort(key=lambda order: (-abs(order.trigger_price - order.stop_price), order.place))
        self.elected.extend(reached)

    def parked(self) -> list[StopOrder]:
        """The parked orders, by place."""
        orders = [*self._bids.orders(), *self._asks.orders()]
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

    def compare(self, symbol: str, first: int, last: int) -> None:
        """Remember trades of a symbol, whose prices only rise or only fall, for its next pass."""
        stops = self.symbols.get(symbol)
        if stops is not None and stops.traded(first, last) and symbol not in self.traded_symbols:
            self.traded_symbols.append(symbol)

    def settle(self, is_trading: Callable[[str], bool]) -> None:
        """Elect the stops that the last trades of a command reached; they take in the next command.

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
