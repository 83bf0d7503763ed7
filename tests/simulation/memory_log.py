"""A log in memory: partitions of records, and senders whose records arrive later, in part or never.

What the matcher's protocol needs of Kafka and no more; offsets are dense, appends are atomic, the
clock is the simulation's and never runs back.
"""

from collections import deque
from collections.abc import Iterator

from services.runtime.kafka.consumer import Partition, Range


class MemoryRecord:
    """A record as the client library gives it."""

    __slots__ = ("_offset", "_timestamp", "_value")

    def __init__(self, offset: int, timestamp: int, value: bytes | None) -> None:
        self._offset = offset
        self._timestamp = timestamp
        self._value = value

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 2, self._timestamp

    def value(self) -> bytes | None:
        return self._value


class MemoryLog:
    """All topics of one exchange."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._records: dict[Partition, list[MemoryRecord]] = {}
        self._low: dict[Partition, int] = {}

    def append(self, partition: Partition, value: bytes | None) -> int:
        """The record's offset."""
        records = self._records.setdefault(partition, [])
        records.append(MemoryRecord(len(records), self.now_ms, value))
        return len(records) - 1

    def range(self, partition: Partition) -> Range:
        """As `LogConsumer.range`."""
        return Range(self._low.get(partition, 0), len(self._records.get(partition, ())))

    def read(self, partition: Partition, start: int, end: int) -> Iterator[MemoryRecord]:
        """As `LogConsumer.read`."""
        if start < end and start < self._low.get(partition, 0):
            raise AssertionError(f"{partition} does not hold {start} any more")
        yield from self._records.get(partition, ())[start:end]

    def untrimmed(self) -> "MemoryLog":
        """The same records, and all of them: for whoever judges."""
        whole = MemoryLog(self.now_ms)
        whole._records = self._records
        return whole

    def trim(self, partition: Partition, low: int) -> None:
        """The records below are gone."""
        self._low[partition] = max(low, self._low.get(partition, 0))

    def spoil(self, partition: Partition, offset: int, value: bytes) -> None:
        """The record is another one now."""
        records = self._records[partition]
        records[offset] = MemoryRecord(offset, records[offset].timestamp()[1], value)


class MemorySender:
    """Keeps the order of each producer: what arrives is always a beginning of what was sent."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._queue: deque[tuple[Partition, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        """As `FailFastSender.send`."""
        self._queue.append((Partition(topic, partition), value))

    def deliver(self, count: int) -> int:
        """So many of the waiting records arrive; how many did."""
        arriving = min(count, len(self._queue))
        for _ in range(arriving):
            self._log.append(*self._queue.popleft())
        return arriving

    def drop(self) -> None:
        """The process is gone, and what waited with it."""
        self._queue.clear()

    def check(self) -> None:
        """Nothing is ever refused."""

    def settle(self, timeout_s: float) -> bool:
        """Whether nothing waits; time does not help, only `deliver` does."""
        return not self._queue

    def flush(self) -> None:
        """Everything arrives."""
        self.deliver(len(self._queue))
