"""Offsets of the command log that hold no record, such as the marker of a foreign transaction.

Each is applied as an unreadable command without a timestamp: refused, and the clock stays. So every
offset has one outcome, and a replay gives the same ones: what an offset holds never changes. Pure.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from services.runtime.errors import BrokenLogError
from services.runtime.kafka.records import record_offset

# Markers come one for each transaction. More missing offsets in a row are lost commands.
OFFSETS_MAX = 1_000


class CommandRecord(Protocol):
    """A record of the command log; `timestamp` as Kafka's client returns it: kind and ms."""

    def offset(self) -> int | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def value(self) -> bytes | None: ...


class AbsentRecord(Struct, frozen=True):
    """Stands for an offset without a record."""

    at: int

    def offset(self) -> int:
        """The offset."""
        return self.at

    def timestamp(self) -> tuple[int, int]:
        """No timestamp: kind 0, and a time that moves no clock."""
        return 0, 0

    def value(self) -> None:
        """No value, as in a record that cannot be decoded."""


def absent_offsets(expected: int, found: int) -> range:
    """The offsets without a record before the one at `found`. Raises BrokenLogError."""
    if found < expected:
        raise BrokenLogError(f"expected command {expected}, received {found}")
    if found > expected + OFFSETS_MAX:
        raise BrokenLogError(
            f"expected command {expected}, received {found}: those between are lost; bring back "
            "the command log from a replica or a backup"
        )
    return range(expected, found)


def without_gaps(records: Sequence[CommandRecord], expected: int) -> Sequence[CommandRecord]:
    """Consecutive records from `expected` on, with an AbsentRecord for each offset that has none.

    Raises BrokenLogError.
    """
    if not records or record_offset(records[-1]) - expected + 1 == len(records):
        # Offsets increase, so these are dense: nearly always.
        return records
    dense: list[CommandRecord] = []
    for record in records:
        offset = record_offset(record)
        dense.extend(map(AbsentRecord, absent_offsets(expected, offset)))
        dense.append(record)
        expected = offset + 1
    return dense
