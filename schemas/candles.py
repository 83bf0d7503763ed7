"""Candles: the trades of a symbol summed by interval of the market's time. Pure.

A candle begins at a multiple of its interval since 1970 in UTC, so a day begins at midnight UTC. A
trade at the boundary belongs to the new candle. Longer candles are exact sums of shorter ones.
"""

from typing import Final, Literal

from msgspec import Struct

Interval = Literal["1m", "5m", "1h", "1d"]
INTERVALS_MS: Final[dict[Interval, int]] = {
    "1m": 60_000,
    "5m": 300_000,
    "1h": 3_600_000,
    "1d": 86_400_000,
}


class Candle(Struct, gc=False):
    """Prices in cents, `volume` in shares, `value` the sum of price times quantity.

    `start` in milliseconds. `first_sequence` and `last_sequence` are of the first and last trade.
    """

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    value: int
    trades: int
    first_sequence: int
    last_sequence: int

    @classmethod
    def of_trade(cls, start: int, price: int, quantity: int, sequence: int) -> "Candle":
        """The candle of one trade."""
        value = price * quantity
        return cls(start, price, price, price, price, quantity, value, 1, sequence, sequence)

    def traded(self, price: int, quantity: int, sequence: int) -> None:
        """Add the next trade."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += quantity
        self.value += price * quantity
        self.trades += 1
        self.last_sequence = sequence

    def followed_by(self, later: "Candle") -> None:
        """Add a candle of later trades."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.value += later.value
        self.trades += later.trades
        self.last_sequence = later.last_sequence


def start_of(time_ms: int, interval_ms: int) -> int:
    """The start of the candle that contains this instant."""
    return time_ms - time_ms % interval_ms
