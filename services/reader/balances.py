"""View of balances: each broker's cash and shares, from trades alone.

Pure. A trade moves the same value and quantity from one broker to the other: sums stay zero.
"""

from schemas.rest import PositionResource


class Balances:
    """Cash = sales - purchases in cents; position = bought - sold shares of a symbol."""

    def __init__(self) -> None:
        self._cash: dict[str, int] = {}
        self._positions: dict[str, dict[str, int]] = {}

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
        positions[symbol] = positions.get(symbol, 0) + quantity

    def cash(self, broker_id: str) -> int:
        """Sales minus purchases, in cents."""
        return self._cash.get(broker_id, 0)

    def positions(self, broker_id: str) -> list[PositionResource]:
        """Positions by symbol; those of zero are left out."""
        held = self._positions.get(broker_id, {})
        return [PositionResource(symbol, held[symbol]) for symbol in sorted(held) if held[symbol]]
