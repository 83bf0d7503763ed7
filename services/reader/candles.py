"""View of candles: the newest of each symbol and interval, and those that may not be stored.

Pure. A candle has ended when the next one begins; it may leave memory once PostgreSQL has stored
the command that began the next one, so forgetting costs O(1) per candle.
"""

from collections import deque
from collections.abc import Iterable

from schemas.candles import INTERVALS_MS, Candle, Interval, start_of
from schemas.executions import Fill
from schemas.queries import CandleResource
from schemas.units import rfc3339

# A few milliseconds of work, so that requests in between see no delay.
FORGET_MAX = 2_000

_Series = dict[Interval, deque[Candle]]


class _PartitionCandles:
    def __init__(self) -> None:
        self.symbols: dict[str, _Series] = {}
        # Of each candle that has ended: the command that began the next one.
        self.ended: deque[tuple[int, deque[Candle]]] = deque()

    def series(self, symbol: str) -> _Series:
        series = self.symbols.get(symbol)
        if series is None:
            series = self.symbols[symbol] = {interval: deque() for interval in INTERVALS_MS}
        return series


class Candles:
    """Candles by partition, symbol and interval, oldest first."""

    def __init__(self) -> None:
        self._partitions: dict[int, _PartitionCandles] = {}

    def _of(self, partition: int) -> _PartitionCandles:
        candles = self._partitions.get(partition)
        if candles is None:
            candles = self._partitions[partition] = _PartitionCandles()
        return candles

    def traded(self, symbol: str, fill: Fill, time: int, at: tuple[int, int]) -> None:
        """Add a trade; `at`: partition and command."""
        partition, command = at
        held = self._of(partition)
        for interval, candles in held.series(symbol).items():
            start = start_of(time, INTERVALS_MS[interval])
            if candles:
                if candles[-1].start == start:
                    candles[-1].traded(fill.price, fill.quantity, fill.sequence)
                    continue
                held.ended.append((command, candles))
            candles.append(Candle.of_trade(start, fill.price, fill.quantity, fill.sequence))

    def restore(self, partition: int, symbol: str, interval: Interval, candle: Candle) -> None:
        """Load the newest stored candle."""
        self._of(partition).series(symbol)[interval].append(candle)

    def forget(self, partition: int, next_command: int) -> bool:
        """Forget candles that ended before `next_command`, which PostgreSQL has.

        At most FORGET_MAX at once; True: there may be more.
        """
        ended = self._of(partition).ended
        for _ in range(FORGET_MAX):
            if not ended or ended[0][0] >= next_command:
                return False
            ended.popleft()[1].popleft()
        return True

    def held(self, partition: int, symbol: str, interval: Interval) -> Iterable[Candle]:
        """The newest candles of the symbol, without a gap, oldest first."""
        candles = self._partitions.get(partition)
        series = None if candles is None else candles.symbols.get(symbol)
        return () if series is None else series[interval]


def resource(candle: Candle, interval_ms: int, clock: int) -> CandleResource:
    """The candle as the API returns it; `clock`: the partition's time."""
    return CandleResource(
        start=rfc3339(candle.start),
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        value=candle.value,
        trades=candle.trades,
        first_sequence=candle.first_sequence or None,
        last_sequence=candle.last_sequence or None,
        closed=clock >= candle.start + interval_ms,
    )


def filled(candles: Iterable[Candle], before: Candle | None, starts: range) -> list[Candle]:
    """A candle for each start: a flat one at the previous close where nothing was traded.

    `before`: the newest candle before the first start. None before the symbol's first trade.
    """
    by_start = {candle.start: candle for candle in candles}
    last = before
    found = []
    for start in starts:
        candle = by_start.get(start)
        if candle is None and last is not None:
            close = last.close
            candle = Candle(start, close, close, close, close, 0, 0, 0, 0, 0)
        if candle is not None:
            found.append(candle)
            last = candle
    return found
