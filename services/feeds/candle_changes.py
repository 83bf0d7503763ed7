"""Candles of watched symbols: the running one, and those that ended since the last time. Pure.

A candle has ended when the clock of its partition has reached its end: by the log alone, so that
two gateways never disagree.
"""

from collections.abc import Callable, Iterator

from msgspec import structs

from schemas.candles import INTERVALS_MS, Candle, Interval, start_of
from schemas.feed import CandleMessage, TradeMessage
from services.reader.views import Views


class _Running:
    # The newest candle of a symbol and interval; None before its first trade.
    def __init__(self, candle: Candle | None, length_ms: int, *, closed: bool) -> None:
        self.candle = candle
        self.length_ms = length_ms
        self.closed = closed
        self.changed = False
        # Those that trades of a later candle ended.
        self.ended: list[Candle] = []

    def traded(self, trade: TradeMessage) -> None:
        start = start_of(trade.time, self.length_ms)
        candle = self.candle
        self.changed = True
        if candle is not None and candle.start == start:
            candle.traded(trade.price, trade.quantity, trade.sequence)
            return
        if candle is not None and not self.closed:
            self.ended.append(candle)
        self.candle = Candle.of_trade(start, trade.price, trade.quantity, trade.sequence)
        self.closed = False

    def reaches(self, clock: int) -> bool:
        """Note that the clock has reached the end of the candle; True the first time."""
        if self.candle is None or self.closed or clock < self.candle.start + self.length_ms:
            return False
        self.closed = True
        return True


class CandleChanges:
    """The newest candle of each watched symbol and interval. `views`: the present views, which
    have applied every trade that is added here."""

    def __init__(self, views: Callable[[], Views], now: Callable[[], int]) -> None:
        self._views = views
        self._now = now
        self._running: dict[str, dict[Interval, _Running]] = {}

    def watch(self, symbol: str, interval: Interval) -> None:
        """Begin with the newest candle of the views."""
        views, partition = self._views(), self._views().partition(symbol)
        held = () if partition is None else views.candles.held(partition, symbol, interval)
        length_ms = INTERVALS_MS[interval]
        candle = structs.replace(held[-1]) if held else None
        closed = candle is not None and self._clock(symbol) >= candle.start + length_ms
        running = _Running(candle, length_ms, closed=closed)
        self._running.setdefault(symbol, {})[interval] = running

    def unwatch(self, symbol: str, interval: Interval) -> None:
        """Forget a candle without a subscriber."""
        watched = self._running[symbol]
        del watched[interval]
        if not watched:
            del self._running[symbol]

    def traded(self, trade: TradeMessage) -> None:
        """Add a trade of any symbol."""
        watched = self._running.get(trade.symbol)
        if watched is not None:
            for running in watched.values():
                running.traded(trade)

    def take(self) -> Iterator[tuple[str, Interval, list[CandleMessage], CandleMessage | None]]:
        """By symbol and interval: candles that have ended, oldest first, and the running one if
        it has changed."""
        for symbol, watched in list(self._running.items()):
            clock = self._clock(symbol)
            for interval, running in list(watched.items()):
                candle, ended = running.candle, running.ended
                if candle is not None and running.reaches(clock):
                    ended.append(candle)
                now = None
                if running.changed and not running.closed:
                    now = _message(symbol, interval, candle, closed=False)
                running.ended, running.changed = [], False
                if ended or now is not None:
                    closed = [_message(symbol, interval, each, closed=True) for each in ended]
                    yield symbol, interval, closed, now

    def newest(self, symbol: str, interval: Interval) -> CandleMessage:
        """The newest candle of a watched symbol; an empty one before its first trade."""
        running = self._running[symbol][interval]
        candle = running.candle
        if candle is None:
            start = start_of(self._clock(symbol), running.length_ms)
            return CandleMessage(
                symbol, interval, start, None, None, None, None, 0, 0, 0, 0, 0, closed=False
            )
        return _message(symbol, interval, candle, closed=running.closed)

    def _clock(self, symbol: str) -> int:
        return self._views().clock(symbol, self._now())


def _message(
    symbol: str, interval: Interval, candle: Candle | None, *, closed: bool
) -> CandleMessage:
    if candle is None:
        raise ValueError("a candle that changed has a trade")
    fields = structs.asdict(candle)
    return CandleMessage(symbol, interval, closed=closed, **fields)
