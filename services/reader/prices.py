"""View of prices: the last trades of each symbol.

Pure. Memory is bounded: the newest `TRADES_MAX` prices of a symbol are kept.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice

from msgspec import Struct

from schemas.units import rounded_average

# The longest average that can be requested.
TRADES_MAX = 1_000


class Average(Struct, frozen=True):
    """Simple mean of the last `trades` trade prices, in cents."""

    last: int
    average: int
    trades: int
    sequence: int


class LastTrade(Struct, frozen=True):
    """Price in cents and sequence of a symbol's newest trade."""

    price: int
    sequence: int


class Prices:
    """Trade prices by symbol, and the sequence of the newest."""

    def __init__(self) -> None:
        self._prices: dict[str, deque[int]] = {}
        self._sequences: dict[str, int] = {}

    def traded(self, symbol: str, price: int, sequence: int) -> None:
        """Add a trade."""
        prices = self._prices.get(symbol)
        if prices is None:
            prices = self._prices[symbol] = deque(maxlen=TRADES_MAX)
        prices.append(price)
        self._sequences[symbol] = sequence

    def restore(self, symbol: str, prices: Iterable[int], sequence: int) -> None:
        """Load the newest trades, oldest first; `sequence` belongs to the newest one."""
        self._prices[symbol] = deque(prices, maxlen=TRADES_MAX)
        self._sequences[symbol] = sequence

    def last(self, symbol: str) -> LastTrade | None:
        """The newest trade; None before any."""
        prices = self._prices.get(symbol)
        return None if prices is None else LastTrade(prices[-1], self._sequences[symbol])

    def average(self, symbol: str, trades: int) -> Average | None:
        """Prices of the last `trades`, or of as many as there are; None before the first."""
        prices = self._prices.get(symbol)
        if prices is None:
            return None
        counted = min(trades, len(prices))
        total = sum(islice(reversed(prices), counted))
        return Average(
            last=prices[-1],
            average=rounded_average(total, counted),
            trades=counted,
            sequence=self._sequences[symbol],
        )
