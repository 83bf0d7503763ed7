"""The commands of one partition, with one entry for every offset."""

from collections.abc import Iterator

from services.matcher.gaps import absent_offsets
from services.runtime.kafka.log_reader import LogReader, Record


def commands(log: LogReader, first: int) -> Iterator[Record]:
    """The records from offset `first`, which the log must hold, up to its end.

    An offset without a record has one without value and timestamp, as in the matcher. Raises
    BrokenLogError, and as `LogReader.records`.
    """
    expected = first
    for record in log.records(first):
        for offset in absent_offsets(expected, record.offset):
            yield Record(offset, 0, None, None)
        yield record
        expected = record.offset + 1
    for offset in absent_offsets(expected, max(expected, log.end)):
        yield Record(offset, 0, None, None)
