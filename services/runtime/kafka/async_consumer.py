"""Consumes on a thread and delivers lists of records to an event loop.

One wake-up of the loop per list. The thread pauses while the loop is too many lists behind.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import TypeVar

from confluent_kafka import Message

from services.runtime.kafka.consumer import LogConsumer, Partition
from services.runtime.kafka.records import record_offset, record_partition

RECORDS_MAX = 2_000
# A fetch can be many megabytes when the loop is far behind, and takes it seconds to process. In
# parts of some ten milliseconds each, requests are answered in between.
PART_BYTES_MAX = 256 * 1024
# Lists delivered and not yet processed; more would only use memory.
LISTS_AHEAD_MAX = 4
# Until the thread looks again whether the loop has processed one of them.
AHEAD_WAIT_S = 0.005
WAIT_S = 0.25

Record = TypeVar("Record", bound=Sized)


class AsyncConsumer:
    """Delivers records of assigned partitions to `deliver` on the loop's thread, in log order.

    `failed` is called on the loop when reading or `deliver` raises; nothing is delivered after.
    `caught_up` is set when everything that the log contained at the start was delivered.
    """

    def __init__(
        self,
        consumer: LogConsumer,
        deliver: Callable[[list[Message]], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._consumer = consumer
        self._deliver = deliver
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._behind: dict[Partition, int] = {}
        # Written on the thread: the end of each partition when it was last read to its end, and
        # how many lists were passed on. Written on the loop: how many of them were processed.
        self._reached: dict[Partition, int] = {}
        self._passed = 0
        self._processed = 0
        self.caught_up = asyncio.Event()
        self._thread = threading.Thread(target=self._fetch, name="feed", daemon=True)

    def start(self, offsets: Mapping[Partition, int], ends: Mapping[Partition, int]) -> None:
        """Begin reading at `offsets`. `ends`: the end of each partition just now."""
        self._behind = {
            partition: ends[partition]
            for partition, offset in offsets.items()
            if ends[partition] > offset
        }
        if not self._behind:
            self.caught_up.set()
        self._consumer.assign(offsets)
        self._thread.start()

    def has_processed(self, partition: Partition, end: int) -> bool:
        """True if every record of the partition below `end` was delivered and processed."""
        # In this order: an end is noted only after the records below it were passed on.
        reached = self._reached.get(partition, 0)
        return reached >= end and self._processed == self._passed

    def stop(self) -> None:
        """Stop fetching and close the consumer."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def _fetch(self) -> None:
        try:
            while not self._stopping.is_set():
                messages = self._consumer.poll(RECORDS_MAX, WAIT_S)
                for part in parts_of(messages, PART_BYTES_MAX):
                    self._pass_on(part)
                # After the records below it, which the loop must process first.
                reached = self._consumer.take_reached()
                self._reached |= reached
                if reached and not self.caught_up.is_set():
                    self._loop.call_soon_threadsafe(self._note_reached, reached)
        except Exception as error:
            self._loop.call_soon_threadsafe(self._fail, error)

    def _pass_on(self, messages: list[Message]) -> None:
        # A semaphore would cost both threads more for each list than all else here.
        while self._passed - self._processed >= LISTS_AHEAD_MAX:
            self._stopping.wait(AHEAD_WAIT_S)
            if self._stopping.is_set():
                return
        self._passed += 1
        self._loop.call_soon_threadsafe(self._hand_over, messages)

    def _hand_over(self, messages: list[Message]) -> None:
        if self._stopping.is_set():
            return
        try:
            self._deliver(messages)
        except Exception as error:
            self._fail(error)
            return
        self._processed += 1
        if self._behind:
            self._note(messages)

    def _note(self, messages: list[Message]) -> None:
        self._note_reached(
            {
                Partition(message.topic() or "", record_partition(message)): record_offset(message)
                + 1
                for message in messages
            }
        )

    def _note_reached(self, positions: Mapping[Partition, int]) -> None:
        for partition, position in positions.items():
            if position >= self._behind.get(partition, 0):
                self._behind.pop(partition, None)
        if not self._behind and not self._stopping.is_set():
            self.caught_up.set()

    def _fail(self, error: BaseException) -> None:
        self._stopping.set()
        self._failed(error)


def parts_of(records: Sequence[Record], bytes_max: int) -> Iterator[list[Record]]:
    """Split records, in order, into lists of at most `bytes_max`, or of one larger record."""
    part: list[Record] = []
    size = 0
    for record in records:
        size += len(record)
        if part and size > bytes_max:
            yield part
            part, size = [], len(record)
        part.append(record)
    if part:
        yield part
