"""Writes snapshots beside the matching: a thread of its own, so that only saving costs a pause.

A snapshot counts once its commit is in the topic, and a commit is written only after:
1. all outputs up to it are acknowledged (the loop has seen to that before it hands over),
2. no newer claim stands below them, so that they count for every reader,
3. all its chunks are acknowledged.
A snapshot that does not come about is given up: the next one is on its way.
"""

import logging
import queue
import threading
from collections.abc import Mapping
from typing import Protocol

from confluent_kafka import KafkaException

from schemas.codec import encode
from schemas.topics import EXECUTIONS, SNAPSHOTS
from services.matcher.recovery import Log
from services.matcher.snapshot import Saved, seal
from services.runtime.consumer import Fetch, LogConsumer
from services.runtime.errors import ExchangeError
from services.runtime.producer import FailFastSender, append

logger = logging.getLogger(__name__)

# Longer than the watch takes to see the end of a quiet partition.
OWNERSHIP_WAIT_S = 5.0
_LOOK_S = 0.05
# A broker that is away must not hold up the end; what the thread would still do may be lost.
CLOSE_S = 2.0


class Ownership(Protocol):
    """What `ClaimWatch` tells."""

    def own_up_to(self, partition: int, end: int) -> bool:
        """Whether no newer claim stands below the record `end`."""


class Archivist:
    """`commits`: by partition, the record of the newest commit."""

    def __init__(
        self, bootstrap: str, log: Log, ownership: Ownership, commits: Mapping[int, int]
    ) -> None:
        self._bootstrap = bootstrap
        self._log = log
        self._ownership = ownership
        self._commits = dict(commits)
        self._waiting: queue.SimpleQueue[Saved | None] = queue.SimpleQueue()
        self._busy: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name="snapshots", daemon=True)
        self._thread.start()

    def busy(self, partition: int) -> bool:
        """Whether a snapshot of the partition is on its way; another would only pile up."""
        return partition in self._busy

    def hand_over(self, saved: Saved) -> None:
        """Everything up to the snapshot's command has been acknowledged."""
        self._busy.add(saved.commit.partition)
        self._waiting.put(saved)

    def close(self) -> None:
        """Give up what is on its way."""
        self._stopping.set()
        self._waiting.put(None)
        self._thread.join(CLOSE_S)

    def _write(self) -> None:
        consumer = LogConsumer(self._bootstrap, Fetch(wait_ms=50))
        chunks = FailFastSender(self._bootstrap, linger_ms=5)
        try:
            while (saved := self._waiting.get()) is not None and not self._stopping.is_set():
                try:
                    self._write_one(saved, consumer, chunks)
                except (ExchangeError, KafkaException) as error:
                    fields = {"partition": saved.commit.partition, "reason": str(error)}
                    logger.warning("snapshot given up", extra={"fields": fields})
                    # A sender that failed once says so for ever.
                    chunks = FailFastSender(self._bootstrap, linger_ms=5)
                self._busy.discard(saved.commit.partition)
        finally:
            consumer.close()

    def _write_one(self, saved: Saved, consumer: LogConsumer, chunks: FailFastSender) -> None:
        number = saved.commit.partition
        end = consumer.range(self._log.partition(EXECUTIONS.name, number)).end
        if not self._wait_until_own(number, end):
            return
        topic, key = self._log.prefix + SNAPSHOTS.name, str(number).encode()
        first = consumer.range(self._log.partition(SNAPSHOTS.name, number)).end
        for value in saved.chunks:
            chunks.send(topic, number, key, value)
        chunks.flush()
        commit = seal(saved, next_record=end, first_chunk=first, previous=self._commits[number])
        self._commits[number] = append(self._bootstrap, topic, number, key, encode(commit))
        fields = {
            "partition": number,
            "next_command": commit.next_command,
            "chunks": commit.chunks,
            "bytes": sum(map(len, saved.chunks)),
        }
        logger.info("snapshot written", extra={"fields": fields})

    def _wait_until_own(self, number: int, end: int) -> bool:
        for _ in range(round(OWNERSHIP_WAIT_S / _LOOK_S)):
            if self._ownership.own_up_to(number, end):
                return True
            if self._stopping.wait(_LOOK_S):
                return False
        return False
