"""Topics in memory: partitions of records, and senders whose records arrive late, in part or never.

Only those parts of Kafka that the matcher's protocol needs. Appends are atomic; an offset may hold
no record, as one with a transaction's marker does; timestamps come from the simulation's clock,
which never goes back. A power cut takes the tail of a partition; as Kafka's idempotent producer, a
sender then fails unless all of its records are left, or none.
"""

from collections import deque
from collections.abc import Iterator

from services.runtime.errors import DeliveryError, SupersededError
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
        # The sender of each record, and what it has sent before.
        self._origins: dict[Partition, list[tuple[object, int] | None]] = {}
        self._cuts: list[tuple[Partition, int]] = []
        # The only sender whose records the public topics accept.
        self.public_sender: object | None = None
        self._nonces = 0

    def new_nonce(self) -> int:
        """A number that no claim had before; matchers draw theirs at random from a million."""
        self._nonces += 1
        return self._nonces

    def append(
        self, partition: Partition, value: bytes | None, origin: tuple[object, int] | None = None
    ) -> int:
        """Append a record; its offset. `origin`: the sender, and how many it sent here before."""
        records = self._records.setdefault(partition, [])
        records.append(MemoryRecord(len(records), self.now_ms, value))
        self._origins.setdefault(partition, []).append(origin)
        return len(records) - 1

    def append_marker(self, partition: Partition) -> None:
        """Use an offset without a record."""
        self._records.setdefault(partition, []).append(None)
        self._origins.setdefault(partition, []).append(None)

    def left_of(self, partition: Partition, sender: object) -> int | None:
        """The number of records that the partition took from the sender; None if it holds none."""
        for origin in reversed(self._origins.get(partition, ())):
            if origin is not None and origin[0] is sender:
                return origin[1] + 1
        return None

    def cut(self, partition: Partition, end: int) -> None:
        """Remove the records from `end` on, as a power cut does."""
        for lists in (self._records, self._origins):
            del lists.get(partition, [])[end:]
        self._cuts.append((partition, end))

    @property
    def cuts(self) -> int:
        """The number of power cuts."""
        return len(self._cuts)

    def has_lost(self, partition: Partition, position: int, since: int) -> bool:
        """True if a cut after the first `since` took records before the position, which the client
        library reports to a consumer."""
        return any(p == partition and end < position for p, end in self._cuts[since:])

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
        self._sent: dict[Partition, int] = {}

    def __len__(self) -> int:
        return len(self._queue)

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        """As `FailFastSender.send`."""
        self._queue.append((Partition(topic, partition), value))

    def deliver(self, count: int) -> int:
        """Append up to `count` of the queued records to the log; the number appended.

        Raises DeliveryError if the log has lost some of those before, and not all.
        """
        arriving = min(count, len(self._queue))
        for _ in range(arriving):
            partition, value = self._queue.popleft()
            sent = self._sent.get(partition, 0)
            if self._log.left_of(partition, self) not in (sent, None):
                raise DeliveryError("out of order")
            self._log.append(partition, value, (self, sent))
            self._sent[partition] = sent + 1
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
