"""Taking a partition, and noticing that somebody else took it.

A claim's offset in executions is the epoch of all that its matcher writes; a later claim makes
those records stale for every reader. Reading never waits for more than the log held at the start.
"""

import logging
import threading
import time
from collections.abc import Mapping

from msgspec import Struct

from schemas.codec import UnreadableError, decode_book_update, decode_trade, encode, is_claim
from schemas.executions import Claim
from schemas.topics import BOOK, EXECUTIONS, TRADES
from services.matcher.recovery import Log, Recovered, recover
from services.runtime.consumer import Fetch, LogConsumer, Partition
from services.runtime.errors import SupersededError
from services.runtime.follower import Follower, FollowerPosition
from services.runtime.producer import append

logger = logging.getLogger(__name__)

RECORDS_MAX = 5_000
# Records at the end of a public partition among which the highest position is looked for. A stale
# matcher may have added old ones behind it, but never more than its queue held.
TAIL_RECORDS = 2_000
# A newer claim is noticed within this time; the fetch is held back for all of it.
WATCH = Fetch(wait_ms=500, bytes_min=8 * 1024 * 1024)

CONFIRM_LOOK_S = 0.01


class Mark(Struct, frozen=True, order=True):
    """The highest position that a public topic already tells of."""

    command_offset: int = -1
    index: int = -1


class Claimed(Struct, frozen=True):
    """A partition taken: the epoch to write with, and what earlier matchers already told.

    `next_command` is the first command without a valid outcome. `recovered` is where the matcher
    begins: a snapshot, or nothing at the beginning of the log.
    """

    partition: int
    epoch: int
    next_command: int
    recovered: Recovered
    trades: Mark
    book: Mark


def claim(bootstrap: str, log: Log, partition: int, matcher: str) -> Claimed:
    """Append a claim, find the newest good snapshot, then read what was told since.

    Raises BrokenLogError when neither a snapshot nor the log's beginning is there to start from.
    """
    executions = log.partition(EXECUTIONS.name, partition)
    epoch = append(
        bootstrap, executions.topic, partition, str(partition).encode(), encode(Claim(matcher))
    )
    consumer = LogConsumer(bootstrap, Fetch(wait_ms=50))
    try:
        recovered = recover(consumer, log, partition, epoch)
        next_command = _next_command(consumer, executions, epoch, recovered.position)
        marks = [
            told_up_to(consumer, log.partition(topic.name, partition), next_command)
            for topic in (TRADES, BOOK)
        ]
    finally:
        consumer.close()
    fields = {"partition": partition, "epoch": epoch, "next_command": next_command}
    logger.info("claimed", extra={"fields": fields})
    return Claimed(partition, epoch, next_command, recovered, *marks)


def _next_command(
    consumer: LogConsumer, executions: Partition, epoch: int, start: FollowerPosition
) -> int:
    follower = Follower({executions.number: start})
    for message in consumer.read(executions, start.next_record, epoch + 1):
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
    for message in consumer.read(public, max(held.low, held.end - TAIL_RECORDS), held.end):
        try:
            told = decode(message.value())
        except UnreadableError as error:
            logger.warning("unreadable public record: %s", error)
            continue
        highest = max(highest, Mark(told.command_offset, told.index))
    return highest


class ClaimWatch:
    """Reads what is appended to our executions partitions, looking for a newer claim only."""

    def __init__(self, bootstrap: str, log: Log, epochs: Mapping[int, int]) -> None:
        self._log = log
        self._newer: str | None = None
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        # Up to here, exclusive, no newer claim was found.
        self._seen = {partition: epoch + 1 for partition, epoch in epochs.items()}
        self._consumer = LogConsumer(bootstrap, WATCH)
        self._consumer.assign(
            {log.partition(EXECUTIONS.name, p): epoch + 1 for p, epoch in epochs.items()}
        )
        self._thread = threading.Thread(target=self._watch, name="claims", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises SupersededError once a newer claim was seen."""
        if self._newer is not None:
            raise SupersededError(self._newer)
        if self._failure is not None:
            raise self._failure

    def confirm(self, consumer: LogConsumer) -> None:
        """Wait until it is known that all partitions are still ours. Raises SupersededError.

        For a process that was frozen: what it sends now may be another's business already.
        """
        for partition in self._seen:
            end = consumer.range(self._log.partition(EXECUTIONS.name, partition)).end
            while not self.own_up_to(partition, end):
                self.check()
                time.sleep(CONFIRM_LOOK_S)

    def own_up_to(self, partition: int, end: int) -> bool:
        """Whether no newer claim stands below the record `end`; False while that is not known."""
        seen = self._seen[partition] >= end
        return seen and self._newer is None and self._failure is None

    def _watch(self) -> None:
        try:
            while not self._stopping.is_set():
                for message in self._consumer.poll(RECORDS_MAX, 0.25):
                    if is_claim(message.value()):
                        self._newer = (
                            f"partition {message.partition()}: a newer matcher claimed it at "
                            f"{message.offset()}"
                        )
                    # Last, so that who sees the record counted sees its claim too.
                    self._seen[message.partition() or 0] = (message.offset() or 0) + 1
        except Exception as error:
            self._failure = error

    def close(self) -> None:
        """Stop watching."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()
