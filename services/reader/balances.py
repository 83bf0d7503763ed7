"""The balances room: each broker's cash and shares, from trades alone.

Pure. A trade moves the same value and quantity from one broker to the other: sums stay zero.
"""

from schemas.rest import PositionResource


class Balances:
    """Cash = sales - purchases in cents; position = bought - sold shares of a symbol."""

    def __init__(self) -> None:
        self._cash: dict[str, int] = {}
        self._positions: dict[str, dict[str, int]] = {}

    def traded(self, symbol: str, buyer: str, seller: str, *, quantity: int, value: int) -> None:
        """One trade; the two may be the same broker."""
        self.add(buyer, symbol, quantity, -value)
        self.add(seller, symbol, -quantity, value)

    def add(self, broker_id: str, symbol: str, quantity: int, value: int) -> None:
        """What one trade brings to one side, or what all trades so far have brought."""
        self._cash[broker_id] = self._cash.get(broker_id, 0) + value
        positions = self._positions.get(broker_id)
        if positions is None:
            positions = self._positions[broker_id] = {}
        positions[symbol] = positions.get(symbol, 0) + quantity

    def cash(self, broker_id: str) -> int:
        """Sales minus purchases, in cents."""
        return self._cash.get(broker_id, 0)

    def positions(self, broker_id: str) -> list[PositionResource]:
        """By symbol; a position that came back to zero is none."""
        held = self._positions.get(broker_id, {})
        return [PositionResource(symbol, held[symbol]) for symbol in sorted(held) if held[symbol]]
