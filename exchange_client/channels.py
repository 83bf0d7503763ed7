"""Subscriptions of a feed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

# Of `after` in one message, which may be 64 KiB long.
_AFTER_MAX: Final = 1_000
EVERY: Final = "*"


@dataclass(frozen=True)
class Channels:
    """Symbols of each channel; `trades` and `tickers` may be "*", all symbols.

    `after`: by symbol the last trade that the program has; without it, trades begin now.
    `own_after`: by partition the last own event that the program has, {} for none; without it,
    own events begin with all open orders.
    """

    books: Sequence[str] = ()
    trades: Sequence[str] | Literal["*"] = ()
    ladders: Sequence[str] = ()
    tickers: Sequence[str] | Literal["*"] = ()
    candles: Sequence[str] = ()
    own_events: bool = False
    after: Mapping[str, int] | None = None
    own_after: Mapping[str, int] | None = None
    ladder_depth: Literal[10, 50] = 10
    candle_interval: Literal["1m", "5m", "1h", "1d"] = "1m"

    def whole(self) -> Iterator[dict[str, Any]]:
        """Subscriptions that begin with the present state."""
        if self.books:
            yield _fields("book", self.books)
        if self.ladders:
            yield _fields("ladder", self.ladders, depth=self.ladder_depth)
        if self.tickers:
            yield _fields("ticker", self.tickers)
        if self.candles:
            yield _fields("candles", self.candles, interval=self.candle_interval)

    def resumed_trades(self, lasts: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """Subscriptions to trades that continue behind the last ones, by symbol."""
        if not self.trades:
            return
        known = list(lasts.items())
        for start in range(0, max(1, len(known)), _AFTER_MAX):
            after = dict(known[start : start + _AFTER_MAX])
            yield _fields("trades", self.trades, **({"after": after} if after else {}))


def _fields(channel: str, symbols: Sequence[str], **more: object) -> dict[str, Any]:
    named = symbols if symbols == EVERY else list(symbols)
    return {"channel": channel, "symbols": named, **more}
