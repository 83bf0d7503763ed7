"""Live VWAP and one-minute candles of every symbol, from the public topic of trades alone.

    python -m examples.live_vwap --from-beginning
    python -m examples.live_vwap --symbols PETR4,VALE3 --parquet trades/

It shows all that a careful consumer of `market.trades.v1` has to do:

1. It reads every partition without a group, each from where the last run stopped.
2. It drops a trade whose `sequence` it has counted, and reports missing numbers: they are dense
   per symbol, so a repeat is a duplicate and a jump is a loss.
3. It stores its offsets and the results up to them in one file, which is replaced atomically: if
   killed at any moment, it resumes without losing a trade or counting one twice.
4. A minute ends by the trades' own time, which never decreases within a partition. The local clock
   is not used, so the candles of a replay equal those of the day.

Needs confluent-kafka and msgspec, and pyarrow for --parquet. Prices are integers, in cents.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Message
from msgspec import Struct, field
from msgspec.structs import astuple

from examples.tail import DATA_DIR, Feed, StopError, ended, options_parser, warn

MINUTE_MS = 60_000
DRAW_EVERY_S = 1.0
# A table of more rows would not fit a terminal; the output to a file has all.
ROWS_MAX = 15
# After a kill, at most this much is read again.
SAVE_EVERY_S = 5.0
# Parquet files are read in bulk, so a few large ones are better than many small ones.
PART_EVERY_S = 60.0
# Bounds the trades held in memory.
PART_TRADES_MAX = 100_000


class Trade(Struct, frozen=True):
    """A record's value. Fields that a later version adds are ignored."""

    symbol: str
    sequence: int
    trade_id: str
    time: int
    price: int
    quantity: int
    aggressor_side: str


class Candle(Struct):
    """One symbol's trades in a span of time; `value` is the sum of price times quantity."""

    symbol: str
    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    value: int = 0
    trades: int = 0

    @classmethod
    def of(cls, trade: Trade, start: int) -> "Candle":
        """A candle that begins with this trade, which is not counted yet."""
        return cls(trade.symbol, start, trade.price, trade.price, trade.price, trade.price)

    def add(self, trade: Trade) -> None:
        """Count one more trade."""
        self.high, self.low = max(self.high, trade.price), min(self.low, trade.price)
        self.close = trade.price
        self.volume += trade.quantity
        self.value += trade.price * trade.quantity
        self.trades += 1


class Tape(Struct):
    """One symbol: the totals since the first trade read, and the current minute."""

    partition: int
    sequence: int
    whole: Candle
    minute: Candle | None = None
    repeated: int = 0
    missing: int = 0


class State(Struct):
    """All results and the offsets up to which they count, in one file so that the two always agree.

    Per partition: the offset to read next, and the minute that its trades have reached. `parts`:
    the number of Parquet files that contain the results.
    """

    cluster: str
    topic: str
    symbols: list[str]
    offsets: list[int]
    minutes: list[int]
    tapes: dict[str, Tape] = field(default_factory=dict)
    parts: int = 0

    def tape(self, partition: int, trade: Trade) -> Tape:
        """The symbol's tape; trades before the first one read do not count as missing."""
        if trade.symbol not in self.tapes:
            whole = Candle.of(trade, trade.time)
            self.tapes[trade.symbol] = Tape(partition, trade.sequence - 1, whole)
        return self.tapes[trade.symbol]

    def add(self, partition: int, trade: Trade) -> list[Candle]:
        """Count a trade that was not counted yet; returns the candles of the minutes it ends."""
        minute = max(trade.time - trade.time % MINUTE_MS, self.minutes[partition])
        closed = self._close(partition) if minute > self.minutes[partition] else []
        self.minutes[partition] = minute
        tape = self.tape(partition, trade)
        tape.missing += trade.sequence - tape.sequence - 1
        tape.sequence = trade.sequence
        tape.whole.add(trade)
        tape.minute = tape.minute or Candle.of(trade, minute)
        tape.minute.add(trade)
        return closed

    def _close(self, partition: int) -> list[Candle]:
        """End the minute of every symbol that trades in the partition."""
        tapes = [tape for tape in self.tapes.values() if tape.partition == partition]
        closed = [tape.minute for tape in tapes if tape.minute is not None]
        for tape in tapes:
            tape.minute = None
        return closed


class Keeper:
    """Writes the results: first a Parquet part, then the state that refers to it.

    A run that is killed in between leaves a part without a state: the next run removes that part
    and counts its trades again.
    """

    def __init__(self, state: State, path: Path, directory: Path | None) -> None:
        self._state = state
        self._path = path
        self._directory = directory
        self._trades: list[Trade] = []
        self._candles: list[Candle] = []
        self._saved = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        if directory is not None:
            require_pyarrow()
            for kind in ("trades", "candles"):
                (directory / kind).mkdir(parents=True, exist_ok=True)
                for part in (directory / kind).glob("part-*"):
                    if int(part.stem.removeprefix("part-")) >= state.parts:
                        part.unlink()

    def add(self, trade: Trade, closed: list[Candle]) -> None:
        """Queue the trade and the closed candles for writing."""
        if self._directory is not None:
            self._trades.append(trade)
            self._candles += closed

    def save_if_due(self) -> None:
        """Save when the interval has passed, or when much is queued."""
        every = SAVE_EVERY_S if self._directory is None else PART_EVERY_S
        if time.monotonic() - self._saved >= every or len(self._trades) >= PART_TRADES_MAX:
            self.save()

    def save(self) -> None:
        """Write everything counted so far."""
        if self._directory is not None and self._trades:
            name = f"part-{self._state.parts:06}.parquet"
            write_parquet(self._directory / "trades" / name, self._trades)
            if self._candles:
                write_parquet(self._directory / "candles" / name, self._candles)
            self._trades, self._candles = [], []
            self._state.parts += 1
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(self._state))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._saved = time.monotonic()


def require_pyarrow() -> None:
    """Raises StopError if pyarrow is missing, before a long run and not at its end."""
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415 - large, and only --parquet needs it
    except ImportError as error:
        raise StopError("--parquet needs pyarrow: pip install pyarrow") from error


def write_parquet(path: Path, rows: Sequence[Trade] | Sequence[Candle]) -> None:
    """Write a file atomically; each field becomes a column, instants become timestamps."""
    import pyarrow.parquet  # noqa: PLC0415 - as above

    instant: Any = pyarrow.timestamp("ms", tz="UTC")
    columns = zip(*(astuple(row) for row in rows), strict=True)
    named = zip(rows[0].__struct_fields__, columns, strict=True)
    table = {
        name: pyarrow.array(column, instant if name in ("time", "start") else None)
        for name, column in named
    }
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        pyarrow.parquet.write_table(pyarrow.table(table), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


class Screen:
    """Prints a line per candle; on a terminal also a table below, redrawn each second."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._rows_max = ROWS_MAX if self._terminal else None
        self._drawn = 0.0
        self._rows = 0

    def say(self, line: str) -> None:
        """Print a permanent line above the table."""
        self.clear()
        print(line, flush=True)

    def clear(self) -> None:
        """Clear the table."""
        if self._rows:
            print(f"\x1b[{self._rows}F\x1b[J", end="", flush=True)
            self._rows = 0

    def draw_if_due(self, state: State) -> None:
        """Draw the current table, which the next output replaces."""
        if self._terminal and time.monotonic() - self._drawn >= DRAW_EVERY_S:
            self._rows, self._drawn = self.draw(state), time.monotonic()

    def draw(self, state: State) -> int:
        """Print the table permanently; returns its number of lines."""
        lines = table_of(state, self._rows_max)
        self.say("\n".join(lines))
        return len(lines)


def candle_line(candle: Candle) -> str:
    """A complete minute of one symbol."""
    start = datetime.fromtimestamp(candle.start / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
    prices = (candle.open, candle.high, candle.low, candle.close, candle.value / candle.volume)
    opened, high, low, close, vwap = (f"{price / 100:.2f}" for price in prices)
    return (
        f"{start} {candle.symbol} open {opened} high {high} low {low} close {close} vwap {vwap} "
        f"volume {candle.volume} trades {candle.trades}"
    )


def table_of(state: State, rows: int | None) -> list[str]:
    """Every symbol with its VWAP, or those with the highest traded value."""
    head = f"{'SYMBOL':<10} {'LAST':>9} {'VWAP':>12} {'VOLUME':>14} {'TRADES':>10}"
    lines = [f"{head} {'REPEATED':>9} {'MISSING':>8}"]
    ranked = sorted(state.tapes.values(), key=lambda tape: (-tape.whole.value, tape.whole.symbol))
    for tape in ranked[:rows]:
        all_ = tape.whole
        lines.append(
            f"{all_.symbol:<10} {all_.close / 100:>9.2f} {all_.value / all_.volume / 100:>12.4f} "
            f"{all_.volume:>14,} {all_.trades:>10,} {tape.repeated:>9,} {tape.missing:>8,}"
        )
    return lines


def begin(feed: Feed, options: argparse.Namespace) -> State:
    """The state of the last run, or an empty state at one end of the topic."""
    try:
        state = msgspec.json.decode(options.state.read_bytes(), type=State)
    except FileNotFoundError:
        offsets = [low if options.from_beginning else end for low, end in feed.ranges]
        return State(feed.cluster, feed.topic, options.symbols, offsets, [0] * len(offsets))
    except msgspec.MsgspecError as error:
        raise StopError(f"{options.state} is no state of this program: {error}") from error
    if (state.cluster, state.topic, state.symbols) != (feed.cluster, feed.topic, options.symbols):
        raise StopError(
            f"{options.state} counts another Kafka, topic or choice of symbols: delete it, or "
            f"name another with --state"
        )
    # Out of range: retention has deleted records, or the broker lost its newest records in a power
    # cut and receives them again. The sequences show what is missing or repeated.
    ranges = zip(state.offsets, feed.ranges, strict=True)
    state.offsets = [at if low <= at <= end else low for at, (low, end) in ranges]
    return state


def count(message: Message, state: State, keeper: Keeper, screen: Screen) -> None:
    """Count one record, unless it was counted before."""
    partition = message.partition() or 0
    try:
        trade = msgspec.json.decode(message.value() or b"", type=Trade)
    except msgspec.MsgspecError as error:
        screen.clear()
        warn(f"the record {partition}@{message.offset()} is no trade: {error}")
        return
    tape = state.tape(partition, trade)
    if trade.sequence <= tape.sequence:
        tape.repeated += 1
        return
    if trade.sequence > tape.sequence + 1:
        screen.clear()
        missing = f"{tape.sequence + 1} to {trade.sequence - 1}"
        warn(f"{trade.symbol}: trades {missing} are missing")
    closed = state.add(partition, trade)
    keeper.add(trade, closed)
    for candle in closed:
        screen.say(candle_line(candle))


def live_vwap(feed: Feed, options: argparse.Namespace) -> int:
    """Count until the program is stopped; with --once, up to the current end of the topic."""
    state, screen = begin(feed, options), Screen()
    keeper = Keeper(state, options.state, options.parquet)
    wanted = {symbol.encode() for symbol in options.symbols}
    for message in feed.read(state.offsets, once=options.once):
        if message is None:
            screen.draw_if_due(state)
            keeper.save_if_due()
        elif not wanted or message.key() in wanted:
            count(message, state, keeper, screen)
    keeper.save()
    screen.draw(state)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = options_parser(__doc__)
    add = parser.add_argument
    add("--topic", default="market.trades.v1", help="with its prefix, if it has one")
    add("--symbols", default="", metavar="A,B", help="only these; else all")
    add("--from-beginning", action="store_true", help="with nothing to resume: all that is kept")
    add("--once", action="store_true", help="count what is there now, and end")
    add("--parquet", type=Path, metavar="DIR", help="write trades and candles there too")
    add("--state", type=Path, help="default: state.json in DIR, else .local/live_vwap.json")
    options = parser.parse_args(arguments)
    options.symbols = sorted(set(filter(None, options.symbols.split(","))))
    kept = options.parquet / "state.json" if options.parquet else DATA_DIR / "live_vwap.json"
    options.state = options.state or kept
    return ended(options, lambda feed: live_vwap(feed, options))


if __name__ == "__main__":
    sys.exit(main())
