"""The order book of one symbol, kept from snapshots and changes and proven by checksums. Pure."""

import zlib
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from exchange_client.backoff import Backoff
from exchange_client.events import Book, Level

# Levels of each side that the checksum covers.
CHECKSUM_LEVELS: Final = 10
# Waits before a snapshot is requested again.
RESYNC_FIRST_S: Final = 1.0
RESYNC_MOST_S: Final = 10.0


class _Side:
    """Levels of one side; `sign` is -1 for bids, so that the best price comes first."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._levels: dict[int, Level] = {}
        # Signed prices in ascending order.
        self._order: list[int] = []

    def replace(self, levels: Iterable[Sequence[int]]) -> None:
        self._levels = {level[0]: Level(*level) for level in levels}
        self._order = sorted(self._sign * price for price in self._levels)

    def change(self, levels: Iterable[Sequence[int]]) -> None:
        for price, quantity, orders in levels:
            if quantity == 0:
                if self._levels.pop(price, None) is not None:
                    del self._order[bisect_left(self._order, self._sign * price)]
                continue
            if price not in self._levels:
                insort(self._order, self._sign * price)
            self._levels[price] = Level(price, quantity, orders)

    def best(self, count: int | None = None) -> tuple[Level, ...]:
        return tuple(self._levels[self._sign * key] for key in self._order[:count])


class BookState:
    """The book of a symbol. `is_known`: it equals the exchange's book at `sequence`."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.sequence = 0
        self.time = 0
        self.is_known = False
        self._bids, self._asks = _Side(-1), _Side(1)
        # A fixed wait: jitter would only delay the recovery of one client's own book.
        self._backoff = Backoff(RESYNC_FIRST_S, RESYNC_MOST_S, lambda: 1.0)
        self._resync_at: float | None = None

    def snapshot(self, message: Mapping[str, Any]) -> bool:
        """Replace the book. True if it is known now."""
        self._bids.replace(message["bids"])
        self._asks.replace(message["asks"])
        return self._proven(message)

    def update(self, message: Mapping[str, Any]) -> bool:
        """Apply changes, unless the book has them already or is not known. True if it changed.

        `is_known` is False afterwards if changes are missing or the checksum differs.
        """
        if not self.is_known or message["sequence"] <= self.sequence:
            return False
        if message["previous"] > self.sequence:
            self.forget()
            return False
        self._bids.change(message.get("bids", ()))
        self._asks.change(message.get("asks", ()))
        return self._proven(message)

    def forget(self) -> None:
        """Mark the book as unknown until a snapshot comes."""
        self.is_known = False

    def wants_resync(self, now: float) -> bool:
        """True if a snapshot is to be requested now: at once, then after growing waits."""
        if self.is_known or (self._resync_at is not None and now < self._resync_at):
            return False
        self._resync_at = now + self._backoff.next_s()
        return True

    def expect_snapshot(self, now: float) -> None:
        """Note that a snapshot was requested by subscribing."""
        self.forget()
        self._backoff.reset()
        self._resync_at = now + RESYNC_MOST_S

    def view(self) -> Book:
        """The book as it is now."""
        return Book(self.symbol, self.sequence, self.time, self._bids.best(), self._asks.best())

    def _proven(self, message: Mapping[str, Any]) -> bool:
        bids, asks = self._bids.best(CHECKSUM_LEVELS), self._asks.best(CHECKSUM_LEVELS)
        self.is_known = checksum(bids, asks) == message["checksum"]
        if self.is_known:
            self.sequence, self.time = message["sequence"], message["time"]
            self._backoff.reset()
            self._resync_at = None
        return self.is_known


def checksum(bids: Iterable[Level], asks: Iterable[Level]) -> int:
    """CRC-32 of the best levels of both sides as `price:quantity:orders,...|...`."""
    sides = (",".join(f"{each[0]}:{each[1]}:{each[2]}" for each in side) for side in (bids, asks))
    return zlib.crc32("|".join(sides).encode())
