"""A matcher's books, rebuilt from the command log by the engine itself.

    python -m examples.replay_book PETR4

It shows that the command log is the source of truth: `replay` rebuilds the state of a matcher after
any command, in a process that only reads. The same commands always give the same state, so the
digest equals the one that `exchange replay` prints, and the matcher's own.
"""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from schemas.codec import UnreadableError, decode_command
from schemas.commands import Command
from schemas.partitions import default_partition
from schemas.topics import COMMANDS
from schemas.units import Side, rfc3339
from services.local.data_dir import operator_settings
from services.local.signals import quiet_kafka
from services.matcher.engine import Engine, EnginePosition
from services.replay.command_log import commands as command_records
from services.runtime.errors import ExchangeError, UnavailableError
from services.runtime.kafka.client_config import KafkaAccess, kafka_access
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.logging_setup import configure
from services.runtime.settings import Settings

log = logging.getLogger(__name__)

SHOWN_MAX = 10
PROGRESS_EVERY_S = 2.0


def replay(kafka: KafkaAccess, commands: Partition, engine: Engine) -> Iterator[EnginePosition]:
    """Apply a partition's command log up to its current end; yields each position reached."""
    with closing(LogReader(kafka, commands)) as log:
        if log.low > 0:
            raise UnavailableError(f"{commands.topic} has lost what was before {log.low}")
        for record in command_records(log, 0):
            at = EnginePosition(commands.number, record.offset, record.timestamp)
            engine.apply(readable(record.value, at), at)
            yield at


def readable(value: bytes | None, at: EnginePosition) -> Command | None:
    """The command, or None for an unreadable record, which is logged: the matcher refuses it."""
    try:
        return decode_command(value)
    except UnreadableError as error:
        fields = {"partition": at.partition, "offset": at.offset, "reason": str(error)}
        log.warning("unreadable command, refused", extra={"fields": fields})
        return None


def rebuilt(settings: Settings, symbol: str, stopping: threading.Event) -> Engine | None:
    """The engine with the symbol's book, as far as it was replayed; None if no book exists."""
    kafka = kafka_access(settings)
    count = TopicsAdmin(kafka, settings.topic_prefix).verify().partitions
    first = default_partition(symbol, count)
    for number in sorted(range(count), key=lambda number: number != first):
        engine, told_s = Engine(number), time.monotonic()
        commands = Partition(COMMANDS.full_name(settings.topic_prefix), number)
        for at in replay(kafka, commands, engine):
            if time.monotonic() - told_s >= PROGRESS_EVERY_S:
                told_s = time.monotonic()
                print(f"partition {number}: {at.offset + 1:,} commands", file=sys.stderr)
            if stopping.is_set():
                print(f"stopped after command {at.offset}", file=sys.stderr)
                return engine if symbol in engine.books else None
        if symbol in engine.books:
            return engine
    return None


def show(symbol: str, engine: Engine) -> None:
    """Print what the public topics omit: each level's orders, in the order they would trade."""
    book = engine.books[symbol]
    print(f"{symbol} on partition {engine.partition} at {rfc3339(engine.clock)}")
    print(f"change {book.sequence}, trade {book.trade_sequence}, digest {engine.digest().hex()}")
    sides: tuple[Side, ...] = ("bid", "ask")
    for side in sides:
        orders = list(book.orders(side))
        for level in book.levels(side, SHOWN_MAX):
            queue = [str(order.remaining) for order in orders if order.price == level.price]
            print(f"{side} {level.price / 100:>9.2f} {level.total_quantity:>9,}  {'+'.join(queue)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit code 1: the symbol has no book; otherwise the exchange's exit
    codes."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="EXCHANGE_KAFKA, EXCHANGE_TOPIC_PREFIX: else the exchange that runs in this folder.",
    )
    parser.add_argument("symbol", help="such as PETR4")
    symbol = parser.parse_args(arguments).symbol
    configure("replay_book", "WARNING")
    quiet_kafka()
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        engine = rebuilt(operator_settings(), symbol, stopping)
    except ExchangeError as error:
        print(f"replay_book: {error}", file=sys.stderr)
        return error.exit_code
    if engine is None:
        print(f"replay_book: the log knows no book of {symbol}", file=sys.stderr)
        return 1
    show(symbol, engine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
