"""The reads by which a place in the logs is found; implemented by `LogConsumer`."""

from collections.abc import Iterator
from typing import Protocol

from services.runtime.kafka.consumer import Partition, Range


class StoredRecord(Protocol):
    """A record as returned by the Kafka client."""

    def offset(self) -> int | None: ...
    def value(self) -> bytes | None: ...


class Reading(Protocol):
    """Reads of one partition at a time."""

    def range(self, partition: Partition) -> Range:
        """The offsets that the partition holds now."""

    def read(self, partition: Partition, start: int, end: int) -> Iterator[StoredRecord]:
        """The records from `start` up to but not including `end`."""
