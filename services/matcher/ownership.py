"""Detects that another matcher has claimed our partition, by reading execution records written
after our claim.

`Ownership` evaluates the records; `ClaimWatch` is the thread that reads them.
"""

import threading
import time
from collections.abc import Mapping

from schemas.codec import is_claim
from schemas.executions import claim_offset
from schemas.topics import EXECUTIONS
from services.matcher.recovery import LogTopics
from services.runtime.errors import SupersededError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Fetch, LogConsumer
from services.runtime.kafka.records import record_offset, record_partition

# Records per poll. They are examined by their first bytes only.
RECORDS_MAX = 5_000
# A newer claim is noticed within this time: the broker holds a fetch back for that long.
WATCH = Fetch(wait_ms=500, bytes_min=8 * 1024 * 1024)
# Interval of checks in `confirm`, while matching is paused.
CONFIRM_LOOK_S = 0.01


class Ownership:
    """Ownership of the partitions that were claimed at these epochs."""

    def __init__(self, epochs: Mapping[int, int]) -> None:
        self._newer: str | None = None
        # Exclusive: there is no newer claim below this record.
        self._seen = {partition: claim_offset(epoch) + 1 for partition, epoch in epochs.items()}
        # The first bytes of each partition's own outcomes, and the offset behind the last ones.
        self._starts = {p: b'{"type":"outcomes","epoch":%d,' % e for p, e in epochs.items()}
        self._behind: dict[int, int] = {}

    @property
    def partitions(self) -> list[int]:
        """The claimed partitions."""
        return list(self._seen)

    def behind_outcomes(self, partition: int) -> int | None:
        """The record behind the last own outcomes that were read back; None before any."""
        return self._behind.get(partition)

    def observe(self, partition: int, record: int, value: bytes | None) -> None:
        """Examine the next record of an executions partition after our claim."""
        if is_claim(value):
            self._newer = f"partition {partition}: a newer matcher claimed it at {record}"
        elif value is not None and value.startswith(self._starts[partition]):
            self._behind[partition] = record + 1
        # Last, because a thread that sees the new count must also see the claim.
        self._seen[partition] = record + 1

    def reached(self, partition: int, end: int) -> None:
        """All records below `end` were examined: the last offsets may hold no record."""
        self._seen[partition] = max(self._seen[partition], end)

    def own_up_to(self, partition: int, end: int) -> bool:
        """True if there is no newer claim below the record `end`; False while that is unknown."""
        return self._seen[partition] >= end and self._newer is None

    def check(self) -> None:
        """Raises SupersededError if a newer claim exists."""
        if self._newer is not None:
            raise SupersededError(self._newer)


class ClaimWatch:
    """Passes appended execution records to an `Ownership`, until closed."""

    def __init__(self, kafka: KafkaAccess, log: LogTopics, epochs: Mapping[int, int]) -> None:
        self.ownership = Ownership(epochs)
        self._log = log
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        self._consumer = LogConsumer(kafka, WATCH)
        self._consumer.assign(
            {log.partition(EXECUTIONS, p): claim_offset(e) + 1 for p, e in epochs.items()}
        )
        self._thread = threading.Thread(target=self._watch, name="claims", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises SupersededError, and any error of the reading thread."""
        self.ownership.check()
        if self._failure is not None:
            raise self._failure

    def confirm(self, consumer: LogConsumer) -> None:
        """Wait until all partitions are confirmed as ours. Raises SupersededError.

        For a process that was frozen: another matcher may have claimed them meanwhile.
        """
        for partition in self.ownership.partitions:
            end = consumer.range(self._log.partition(EXECUTIONS, partition)).end
            while not self.ownership.own_up_to(partition, end):
                self.check()
                time.sleep(CONFIRM_LOOK_S)

    def _watch(self) -> None:
        try:
            while not self._stopping.is_set():
                for message in self._consumer.poll(RECORDS_MAX, 0.25):
                    self.ownership.observe(
                        record_partition(message), record_offset(message), message.value()
                    )
                for partition, end in self._consumer.take_reached().items():
                    self.ownership.reached(partition.number, end)
        except Exception as error:
            # Raised by `check` on the matcher's thread.
            self._failure = error

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()
