"""Writes snapshots beside the matching, so that only saving costs a pause.

`SnapshotWriter.steps` is the protocol, `SnapshotThread` what drives it. A snapshot counts once its
commit is in the topic, and a commit is written only after:
1. all outputs up to it are acknowledged (the loop has seen to that before it hands over),
2. no newer claim stands below them, so that they count for every reader,
3. all its chunks are acknowledged.
A snapshot that does not come about is given up: the next one is on its way.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from confluent_kafka import KafkaException

from schemas.codec import encode
from schemas.topics import EXECUTIONS, SNAPSHOTS
from services.matcher.ownership import Ownership
from services.matcher.recovery import Log
from services.matcher.snapshot import SnapshotChecksum, SnapshotImage
from services.runtime.errors import ExchangeError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.producer import FailFastSender, append

logger = logging.getLogger(__name__)

# Longer than the watch takes to see the end of a quiet partition, and than many chunks take.
STEPS_S_MAX = 20.0
UNSETTLED_CHUNKS_MAX = 50
_LOOK_S = 0.05
# A broker that is away must not hold up the end; what the thread would still do may be lost.
CLOSE_S = 2.0


class SnapshotTopic(Protocol):
    """What is needed of Kafka."""

    def end(self, partition: Partition) -> int:
        """The offset that the next record will get at least."""

    def send(self, partition: Partition, key: bytes, value: bytes) -> None:
        """Queue a record."""

    def settled(self) -> bool:
        """Whether all that was queued is acknowledged by now."""

    def append(self, partition: Partition, key: bytes, value: bytes) -> None:
        """Append a record, and return when it is acknowledged."""


class SnapshotWriter:
    """For partitions of one matcher."""

    def __init__(self, log: Log, ownership: Ownership, topic: SnapshotTopic) -> None:
        self._log = log
        self._ownership = ownership
        self._topic = topic

    def steps(self, saved: SnapshotImage) -> Iterator[None]:
        """Write a snapshot; each step returned is a moment in which there is nothing to do yet."""
        number = saved.state.partition
        end = self._topic.end(self._log.partition(EXECUTIONS.name, number))
        while not self._ownership.own_up_to(number, end):
            yield
        snapshots, key = self._log.partition(SNAPSHOTS.name, number), str(number).encode()
        first = self._topic.end(snapshots)
        seal = SnapshotChecksum()
        for value in saved.chunks():
            seal.add(value)
            self._topic.send(snapshots, key, value)
            # Not all at once: a large state would lie in memory twice.
            if seal.chunks % UNSETTLED_CHUNKS_MAX == 0:
                while not self._topic.settled():
                    yield
        while not self._topic.settled():
            yield
        commit = seal.commit(saved, first)
        self._topic.append(snapshots, key, encode(commit))
        fields = {
            "partition": number,
            "next_command": commit.next_command,
            "chunks": seal.chunks,
            "bytes": seal.size,
        }
        logger.info("snapshot written", extra={"fields": fields})


class KafkaSnapshotTopic:
    """The real one. For one thread."""

    def __init__(self, kafka: KafkaAccess) -> None:
        self._kafka = kafka
        self._consumer = LogConsumer(kafka, Fetch(wait_ms=50))
        self._sender = FailFastSender(kafka, linger_ms=5)

    def end(self, partition: Partition) -> int:
        """Raises UnavailableError."""
        return self._consumer.range(partition).end

    def send(self, partition: Partition, key: bytes, value: bytes) -> None:
        """Raises DeliveryError."""
        self._sender.send(partition.topic, partition.number, key, value)

    def settled(self) -> bool:
        """Raises DeliveryError."""
        return self._sender.settle(_LOOK_S)

    def append(self, partition: Partition, key: bytes, value: bytes) -> None:
        """Raises DeliveryError."""
        append(self._kafka, partition.topic, partition.number, key, value)

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()


class SnapshotThread:
    """One snapshot at a time."""

    def __init__(self, kafka: KafkaAccess, log: Log, ownership: Ownership) -> None:
        self._topic = KafkaSnapshotTopic(kafka)
        self._snapshot_writer = SnapshotWriter(log, ownership, self._topic)
        self._waiting: queue.SimpleQueue[SnapshotImage | None] = queue.SimpleQueue()
        self._busy: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name="snapshots", daemon=True)
        self._thread.start()

    def busy(self, partition: int) -> bool:
        """Whether a snapshot of the partition is on its way; another would only pile up."""
        return partition in self._busy

    def hand_over(self, saved: SnapshotImage) -> None:
        """Everything up to the snapshot's command has been acknowledged."""
        self._busy.add(saved.state.partition)
        self._waiting.put(saved)

    def close(self) -> None:
        """Give up what is on its way."""
        self._stopping.set()
        self._waiting.put(None)
        self._thread.join(CLOSE_S)

    def _write(self) -> None:
        while (saved := self._waiting.get()) is not None:
            try:
                done = self._write_one(saved)
                reason = "" if done else f"not done in {STEPS_S_MAX} s, or stopped"
            except (ExchangeError, KafkaException) as error:
                reason = str(error)
            if reason:
                fields = {"partition": saved.state.partition, "reason": reason}
                logger.warning("snapshot given up", extra={"fields": fields})
            self._busy.discard(saved.state.partition)
        self._topic.close()

    def _write_one(self, saved: SnapshotImage) -> bool:
        deadline = time.monotonic() + STEPS_S_MAX
        for _ in self._snapshot_writer.steps(saved):
            if self._stopping.wait(_LOOK_S) or time.monotonic() > deadline:
                return False
        return True
