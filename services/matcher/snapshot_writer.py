"""Writes snapshots in a thread of their own, so that matching pauses only while state is copied.

`SnapshotWriter.steps` is the protocol; `SnapshotThread` runs it. A snapshot is valid once its
commit is in the topic, and a commit is written only after:
1. all outputs up to it are acknowledged (ensured by the loop before it hands the snapshot over),
2. no newer claim precedes their end, so that they count for every reader,
3. all its chunks are acknowledged.
A failed snapshot is dropped; the next one replaces it.
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
from services.matcher.recovery import LogTopics
from services.matcher.snapshot import SnapshotChecksum, SnapshotImage
from services.runtime.errors import ExchangeError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.producer import FailFastSender, append
from services.runtime.metrics import SNAPSHOT_BYTES

logger = logging.getLogger(__name__)

# Longer than the watch needs to see the end of a quiet partition, and than many chunks take.
STEPS_S_MAX = 20.0
UNSETTLED_CHUNKS_MAX = 50
_LOOK_S = 0.05
# An absent broker must not delay shutdown; an unfinished snapshot may be lost.
CLOSE_S = 2.0


class SnapshotTopic(Protocol):
    """Kafka operations that the protocol needs."""

    def end(self, partition: Partition) -> int:
        """A lower bound of the next record's offset."""

    def send(self, partition: Partition, key: bytes, value: bytes) -> None:
        """Queue a record."""

    def settled(self) -> bool:
        """True if every queued record is acknowledged."""

    def append(self, partition: Partition, key: bytes, value: bytes) -> None:
        """Append a record and wait for its acknowledgement."""


class SnapshotWriter:
    """Writes the snapshots of one matcher's partitions."""

    def __init__(self, log: LogTopics, ownership: Ownership, topic: SnapshotTopic) -> None:
        self._log = log
        self._ownership = ownership
        self._topic = topic

    def steps(self, saved: SnapshotImage) -> Iterator[None]:
        """Write a snapshot. Yields whenever it has to wait before the next step."""
        number = saved.state.partition
        end = self._topic.end(self._log.partition(EXECUTIONS, number))
        while not self._ownership.own_up_to(number, end):
            yield
        snapshots, key = self._log.partition(SNAPSHOTS, number), str(number).encode()
        first = self._topic.end(snapshots)
        seal = SnapshotChecksum()
        for value in saved.chunks():
            seal.add(value)
            self._topic.send(snapshots, key, value)
            # Chunk by chunk, because a large state would otherwise be in memory twice.
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
        SNAPSHOT_BYTES.labels(str(number)).set(seal.size)


class KafkaSnapshotTopic:
    """Implementation on Kafka's clients, for use by one thread."""

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
        """Close the consumer."""
        self._consumer.close()


class SnapshotThread:
    """Runs one snapshot at a time."""

    def __init__(self, kafka: KafkaAccess, log: LogTopics, ownership: Ownership) -> None:
        self._topic = KafkaSnapshotTopic(kafka)
        self._snapshot_writer = SnapshotWriter(log, ownership, self._topic)
        self._waiting: queue.SimpleQueue[SnapshotImage | None] = queue.SimpleQueue()
        self._busy: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name="snapshots", daemon=True)
        self._thread.start()

    def busy(self, partition: int) -> bool:
        """True if a snapshot of the partition is being written; another one would only queue up."""
        return partition in self._busy

    def hand_over(self, saved: SnapshotImage) -> None:
        """Queue a snapshot. Everything up to its command has been acknowledged."""
        self._busy.add(saved.state.partition)
        self._waiting.put(saved)

    def close(self) -> None:
        """Abandon the snapshot in progress and stop the thread."""
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
