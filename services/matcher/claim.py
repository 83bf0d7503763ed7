"""Taking a partition, and noticing that somebody else took it.

A claim's offset in executions is the epoch of all that its matcher writes; a later claim makes
those records stale for every reader. Reading never waits for more than the log held at the start.
"""

import logging
import threading
from collections.abc import Iterator, Mapping

from confluent_kafka import Message
from msgspec import Struct

from schemas.codec import UnreadableError, decode_book_update, decode_trade, encode, is_claim
from schemas.executions import Claim
from schemas.topics import BOOK, EXECUTIONS, TRADES
from services.runtime.consumer import Fetch, LogConsumer, Partition
from services.runtime.errors import SupersededError, UnavailableError
from services.runtime.follower import Follower, FollowerPosition
from services.runtime.producer import append

log = logging.getLogger(__name__)

RECORDS_MAX = 5_000
# A silent broker for this long during a start is a broker that is away.
SILENCE_MAX_S = 30.0
# Records at the end of a public partition among which the highest position is looked for. A stale
# matcher may have added old ones behind it, but never more than its queue held.
TAIL_RECORDS = 2_000
# A newer claim is noticed within this time; the fetch is held back for all of it.
WATCH = Fetch(wait_ms=500, bytes_min=8 * 1024 * 1024)


class Mark(Struct, frozen=True, order=True):
    """The highest position that a public topic already tells of."""

    command_offset: int = -1
    index: int = -1


class Claimed(Struct, frozen=True):
    """A partition taken: the epoch to write with, and what earlier matchers already told.

    `next_command` is the first command without a valid outcome.
    """

    partition: int
    epoch: int
    next_command: int
    trades: Mark
    book: Mark


def claim(bootstrap: str, prefix: str, partition: int, matcher: str) -> Claimed:
    """Append a claim, then read what was told before it."""
    executions = Partition(prefix + EXECUTIONS.name, partition)
    epoch = append(
        bootstrap, executions.topic, partition, str(partition).encode(), encode(Claim(matcher))
    )
    consumer = LogConsumer(bootstrap, Fetch(wait_ms=50))
    try:
        next_command = _next_command(consumer, executions, epoch)
        marks = [
            told_up_to(consumer, Partition(prefix + topic.name, partition), next_command)
            for topic in (TRADES, BOOK)
        ]
    finally:
        consumer.close()
    log.info(
        "claimed",
        extra={"fields": {"partition": partition, "epoch": epoch, "next_command": next_command}},
    )
    return Claimed(partition, epoch, next_command, *marks)


def _next_command(consumer: LogConsumer, executions: Partition, epoch: int) -> int:
    low = consumer.range(executions).low
    follower = Follower({executions.number: FollowerPosition(next_record=low)})
    for message in _read(consumer, executions, low, epoch + 1):
        follower.follow(executions.number, message.offset() or 0, message.value())
    return follower.position(executions.number).next_command


def told_up_to(consumer: LogConsumer, public: Partition, next_command: int) -> Mark:
    """The mark of a public partition; the record after it is the first to send."""
    held = consumer.range(public)
    if held.end and held.low == held.end:
        # All of it is past its retention: what has an outcome was told, long ago.
        return Mark(next_command, -1)
    decode = decode_trade if TRADES.name in public.topic else decode_book_update
    highest = Mark()
    for message in _read(consumer, public, max(held.low, held.end - TAIL_RECORDS), held.end):
        try:
            told = decode(message.value())
        except UnreadableError as error:
            log.warning("unreadable public record: %s", error)
            continue
        highest = max(highest, Mark(told.command_offset, told.index))
    return highest


def _read(consumer: LogConsumer, partition: Partition, start: int, end: int) -> Iterator[Message]:
    """The records from `start` up to but not including `end`."""
    if start >= end:
        return
    consumer.assign({partition: start})
    position = start
    while position < end:
        messages = consumer.poll(RECORDS_MAX, SILENCE_MAX_S)
        if not messages:
            raise UnavailableError(f"{partition.topic}/{partition.number} stays silent")
        for message in messages:
            position = (message.offset() or 0) + 1
            if position <= end:
                yield message


class ClaimWatch:
    """Reads what is appended to our executions partitions, looking for a newer claim only."""

    def __init__(self, bootstrap: str, prefix: str, epochs: Mapping[int, int]) -> None:
        self._newer: str | None = None
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        self._consumer = LogConsumer(bootstrap, WATCH)
        self._consumer.assign(
            {Partition(prefix + EXECUTIONS.name, p): epoch + 1 for p, epoch in epochs.items()}
        )
        self._thread = threading.Thread(target=self._watch, name="claims", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises SupersededError once a newer claim was seen."""
        if self._newer is not None:
            raise SupersededError(self._newer)
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        try:
            while not self._stopping.is_set():
                for message in self._consumer.poll(RECORDS_MAX, 0.25):
                    if is_claim(message.value()):
                        self._newer = (
                            f"partition {message.partition()}: a newer matcher claimed it at "
                            f"{message.offset()}"
                        )
        except Exception as error:
            self._failure = error

    def close(self) -> None:
        """Stop watching."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()
