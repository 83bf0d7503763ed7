"""View of candles: the newest of each symbol and interval, and those that may not be stored.

Pure. A candle has ended when the next one begins; it may leave memory once PostgreSQL has stored
the command that began the next one, so forgetting costs O(1) per candle.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from msgspec import structs

from schemas.candles import INTERVALS_MS, Candle, Interval, start_of
from schemas.executions import Fill
from schemas.queries import CandleResource
from schemas.units import rfc3339

# The span of a ticker, in candles of five minutes.
DAY_MS = INTERVALS_MS["1d"]
MINUTE_MS = INTERVALS_MS["1m"]
_STEP: Interval = "5m"
# A few milliseconds of work, so that requests in between see no delay.
FORGET_MAX = 2_000


class _SymbolCandles:
    # Trades of the running minute are added to all intervals at once when it ends.
    def __init__(self) -> None:
        self.series: dict[Interval, deque[Candle]] = {name: deque() for name in INTERVALS_MS}
        # The five-minute candles of the last 24 hours, the same objects as in `series`.
        self.window: deque[Candle] = deque()
        self.minute: Candle | None = None
        self.minute_end = 0

    def append(self, interval: Interval, candle: Candle) -> None:
        self.series[interval].append(candle)
        if interval == _STEP:
            self.step(candle)

    def step(self, candle: Candle) -> None:
        self.window.append(candle)
        while self.window[0].start < candle.start - DAY_MS:
            self.window.popleft()

    def end_minute(self, minute: Candle) -> Iterator[deque[Candle]]:
        # Yields each series in which a candle has ended.
        for interval, candles in self.series.items():
            start = start_of(minute.start, INTERVALS_MS[interval])
            if candles and candles[-1].start == start:
                candles[-1].followed_by(minute)
                continue
            if candles:
                yield candles
            self.append(interval, structs.replace(minute, start=start))

    def held(self, interval: Interval) -> list[Candle]:
        candles, minute = list(self.series[interval]), self.minute
        if minute is not None:
            start = start_of(minute.start, INTERVALS_MS[interval])
            if candles and candles[-1].start == start:
                candles[-1] = structs.replace(candles[-1])
                candles[-1].followed_by(minute)
            else:
                candles.append(structs.replace(minute, start=start))
        return candles


class _PartitionCandles:
    def __init__(self) -> None:
        self.symbols: dict[str, _SymbolCandles] = {}
        # Of each candle that has ended: a command after its last trade.
        self.ended: deque[tuple[int, deque[Candle]]] = deque()

    def of(self, symbol: str) -> _SymbolCandles:
        candles = self.symbols.get(symbol)
        if candles is None:
            candles = self.symbols[symbol] = _SymbolCandles()
        return candles


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
        candles = held.of(symbol)
        minute = candles.minute
        if minute is not None:
            if time < candles.minute_end:
                minute.traded(fill.price, fill.quantity, fill.sequence)
                return
            held.ended.extend((command, series) for series in candles.end_minute(minute))
        start = start_of(time, MINUTE_MS)
        candles.minute = Candle.of_trade(start, fill.price, fill.quantity, fill.sequence)
        candles.minute_end = start + MINUTE_MS

    def restore(self, partition: int, symbol: str, interval: Interval, candle: Candle) -> None:
        """Load the newest stored candle."""
        self._of(partition).of(symbol).append(interval, candle)

    def restore_day(self, partition: int, symbol: str, candle: Candle) -> None:
        """Load an older five-minute candle, oldest first, before the newest one."""
        self._of(partition).of(symbol).step(candle)

    def day(self, partition: int, symbol: str, clock: int) -> tuple[int, Candle | None]:
        """All trades of the 24 hours before `clock` as one candle, None without any; and where they
        begin, rounded down to five minutes."""
        start = window_start(clock)
        held = self._partitions.get(partition)
        candles = None if held is None else held.symbols.get(symbol)
        if candles is None:
            return start, None
        parts = [*candles.window] if candles.minute is None else [*candles.window, candles.minute]
        total: Candle | None = None
        for part in parts:
            if part.start >= start:
                if total is None:
                    total = structs.replace(part)
                else:
                    total.followed_by(part)
        return start, total

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

    def held(self, partition: int, symbol: str, interval: Interval) -> Sequence[Candle]:
        """The newest candles of the symbol, without a gap, oldest first. Not to be changed."""
        held = self._partitions.get(partition)
        candles = None if held is None else held.symbols.get(symbol)
        return () if candles is None else candles.held(interval)


def window_start(clock: int) -> int:
    """The beginning of the 24 hours of a ticker at this instant."""
    return start_of(max(0, clock - DAY_MS), INTERVALS_MS[_STEP])


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
