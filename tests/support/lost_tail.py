"""Removes the newest batches from partitions of a stopped broker, as a power cut does.

Kafka recovers a log after an unclean end up to the first damaged batch, so what a power cut takes
of a partition is its tail. Here a test chooses how much, which a disk would not allow.
"""

import struct
from pathlib import Path

# Base offset and length lead each batch; the length counts what follows it.
_HEADER = struct.Struct(">qi")
_LAST_OFFSET_DELTA = struct.Struct(">i")
_LAST_OFFSET_DELTA_AT = 23


def batches(partition_dir: Path) -> list[tuple[int, int]]:
    """Position in the file, and offset after the batch, of each batch of a partition that has one
    segment."""
    data = _segment(partition_dir).read_bytes()
    found = []
    position = 0
    while position + _HEADER.size <= len(data):
        base, length = _HEADER.unpack_from(data, position)
        if length <= 0:
            # The rest of a file that the broker allocated ahead.
            break
        (delta,) = _LAST_OFFSET_DELTA.unpack_from(data, position + _LAST_OFFSET_DELTA_AT)
        found.append((position, base + delta + 1))
        position += _HEADER.size + length
    return found


def lose_tail(partition_dir: Path, count: int) -> int:
    """Remove the newest `count` batches, or all; the new end offset. The broker must be dead."""
    if (partition_dir.parent / ".kafka_cleanshutdown").exists():
        raise AssertionError("the broker ended in order, and would not examine its log")
    found = batches(partition_dir)
    kept = found[: max(0, len(found) - count)]
    position = found[len(kept)][0] if count and found else _segment(partition_dir).stat().st_size
    with _segment(partition_dir).open("r+b") as file:
        file.truncate(position)
    return kept[-1][1] if kept else 0


def _segment(partition_dir: Path) -> Path:
    (segment,) = partition_dir.glob("*.log")
    return segment
