"""Fields that every consumed record has. The client's types allow None, for messages to be sent."""

from typing import Protocol

from confluent_kafka import Message


class _HasOffset(Protocol):
    def offset(self) -> int | None: ...


def record_offset(record: _HasOffset) -> int:
    """The offset of a consumed record in its partition."""
    return record.offset() or 0


def record_partition(record: Message) -> int:
    """The number of the partition of a consumed record."""
    return record.partition() or 0
