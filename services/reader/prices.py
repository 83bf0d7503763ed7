"""The prices room: the last trades of each symbol.

Pure. Memory is bounded: the newest `TRADES_MAX` prices a symbol, older ones fall off.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice

from msgspec import Struct

from schemas.units import rounded_average

# The longest average that can be asked for.
TRADES_MAX = 1_000


class Average(Struct, frozen=True):
    """Simple mean of the last `trades` trade prices, in cents."""

    last: int
    average: int
    trades: int
    sequence: int


class Prices:
    """Trade prices by symbol, and the sequence of the newest."""

    def __init__(self) -> None:
        self._prices: dict[str, deque[int]] = {}
        self._sequences: dict[str, int] = {}

    def traded(self, symbol: str, price: int, sequence: int) -> None:
        """One more trade."""
        prices = self._prices.get(symbol)
        if prices is None:
            prices = self._prices[symbol] = deque(maxlen=TRADES_MAX)
        prices.append(price)
        self._sequences[symbol] = sequence

    def restore(self, symbol: str, prices: Iterable[int], sequence: int) -> None:
        """The newest trades so far, oldest first; `sequence` is the newest one's."""
        self._prices[symbol] = deque(prices, maxlen=TRADES_MAX)
        self._sequences[symbol] = sequence

    def average(self, symbol: str, trades: int) -> Average | None:
        """Over the last `trades`, or as many as there are; None before the first."""
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
