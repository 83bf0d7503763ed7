"""View of balances: each broker's cash and shares, from trades alone.

Pure. A trade moves the same value and quantity from one broker to the other: sums stay zero.
"""

from itertools import islice

from sortedcontainers import SortedList

from schemas.rest import PositionResource


class Balances:
    """Cash = sales - purchases in cents; position = bought - sold shares of a symbol."""

    def __init__(self) -> None:
        self._cash: dict[str, int] = {}
        # Without those of zero, by broker and symbol.
        self._positions: dict[str, dict[str, int]] = {}
        # Sorted symbols of the brokers whose balance was read, so that no answer sorts them again.
        self._symbols: dict[str, SortedList] = {}

    def traded(self, symbol: str, buyer: str, seller: str, *, quantity: int, value: int) -> None:
        """Apply one trade; the two brokers may be the same."""
        self.add(buyer, symbol, quantity, -value)
        self.add(seller, symbol, -quantity, value)

    def add(self, broker_id: str, symbol: str, quantity: int, value: int) -> None:
        """Add the change of one trade, or of all stored trades, to one broker."""
        self._cash[broker_id] = self._cash.get(broker_id, 0) + value
        positions = self._positions.get(broker_id)
        if positions is None:
            positions = self._positions[broker_id] = {}
        former = positions.get(symbol, 0)
        if former + quantity:
            positions[symbol] = former + quantity
            if not former and broker_id in self._symbols:
                self._symbols[broker_id].add(symbol)
        elif former:
            del positions[symbol]
            if broker_id in self._symbols:
                self._symbols[broker_id].remove(symbol)

    def cash(self, broker_id: str) -> int:
        """Sales minus purchases, in cents."""
        return self._cash.get(broker_id, 0)

    def positions(
        self, broker_id: str, after: str = "", limit: int | None = None
    ) -> list[PositionResource]:
        """At most `limit` positions by symbol, beyond `after`; those of zero are left out."""
        held = self._positions.get(broker_id)
        if held is None:
            return []
        symbols = self._symbols.get(broker_id)
        if symbols is None:
            symbols = self._symbols[broker_id] = SortedList(held)
        following = symbols.irange(minimum=after, inclusive=(False, True))
        return [PositionResource(symbol, held[symbol]) for symbol in islice(following, limit)]
