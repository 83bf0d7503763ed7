"""Topics in memory: partitions of records, and senders whose records arrive late, in part or never.

Only those parts of Kafka that the matcher's protocol needs. Appends are atomic; an offset may hold
no record, as one with a transaction's marker does; timestamps come from the simulation's clock,
which never goes back.
"""

from collections import deque
from collections.abc import Iterator

from services.runtime.errors import SupersededError
from services.runtime.kafka.consumer import Partition, Range


class MemoryRecord:
    """A record with the interface of the client library."""

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
        self._records: dict[Partition, list[MemoryRecord | None]] = {}
        self._low: dict[Partition, int] = {}
        # The only sender whose records the public topics accept.
        self.public_sender: object | None = None

    def append(self, partition: Partition, value: bytes | None) -> int:
        """Append a record; its offset."""
        records = self._records.setdefault(partition, [])
        records.append(MemoryRecord(len(records), self.now_ms, value))
        return len(records) - 1

    def append_marker(self, partition: Partition) -> None:
        """Use an offset without a record."""
        self._records.setdefault(partition, []).append(None)

    def range(self, partition: Partition) -> Range:
        """As `LogConsumer.range`."""
        return Range(self._low.get(partition, 0), len(self._records.get(partition, ())))

    def read(self, partition: Partition, start: int, end: int) -> Iterator[MemoryRecord]:
        """As `LogConsumer.read`."""
        if start < end and start < self._low.get(partition, 0):
            raise AssertionError(f"{partition} does not hold {start} any more")
        for record in self._records.get(partition, ())[start:end]:
            if record is not None:
                yield record

    def untrimmed(self) -> "MemoryLog":
        """All records, including the trimmed ones; used by the checks."""
        whole = MemoryLog(self.now_ms)
        whole._records = self._records
        return whole

    def trim(self, partition: Partition, low: int) -> None:
        """Remove the records below the offset `low`."""
        self._low[partition] = max(low, self._low.get(partition, 0))

    def lose(self, partition: Partition, count: int) -> None:
        """Remove the newest `count` records, or all."""
        records = self._records.get(partition, [])
        del records[max(0, len(records) - count) :]

    def corrupt(self, partition: Partition, offset: int, value: bytes) -> None:
        """Replace the value of a record."""
        records = self._records[partition]
        record = records[offset]
        assert record is not None
        records[offset] = MemoryRecord(offset, record.timestamp()[1], value)


class MemorySender:
    """A producer that keeps its order: the records that arrive are a prefix of those sent."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._queue: deque[tuple[Partition, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        """As `FailFastSender.send`."""
        self._queue.append((Partition(topic, partition), value))

    def deliver(self, count: int) -> int:
        """Append up to `count` of the queued records to the log; the number appended."""
        arriving = min(count, len(self._queue))
        for _ in range(arriving):
            self._log.append(*self._queue.popleft())
        return arriving

    def drop(self) -> None:
        """Drop the queued records, as the end of the process does."""
        self._queue.clear()

    def check(self) -> None:
        """Return: this sender never fails."""

    def settle(self, timeout_s: float) -> bool:
        """True if the queue is empty; returns at once, because only `deliver` empties it."""
        return not self._queue

    def flush(self) -> None:
        """Append all queued records to the log."""
        self.deliver(len(self._queue))


class FencedSender(MemorySender):
    """A sender of public records. Once another one is open, its records no longer arrive."""

    def open(self) -> None:
        """As `TransactionalSender.open`."""
        self._log.public_sender = self

    def deliver(self, count: int) -> int:
        """As for `MemorySender`; without effect for a sender that another one replaced."""
        return super().deliver(count) if self._log.public_sender is self else 0

    def check(self) -> None:
        """Raises SupersededError for a sender that another one replaced."""
        if self._log.public_sender is not self:
            raise SupersededError("another sender is open")
