"""Reads one partition of a topic from the start to a fixed end, as an iterator of records.

Never ahead by more than a fetch; a log whose beginning is gone can be told from one that is whole.
"""

from collections.abc import Iterator
from typing import NamedTuple

from services.runtime.errors import UnavailableError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition

RECORDS_MAX = 2_000
# No record in so long, although the end is not reached: Kafka is away.
SILENCE_S_MAX = 15.0
_FETCH = Fetch(wait_ms=10, bytes_min=1)


class Record(NamedTuple):
    """A record as it lies in the log; `timestamp` in milliseconds."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class LogReader:
    """One partition up to `end`, exclusive; `low` is the first offset still held."""

    def __init__(self, kafka: KafkaAccess, partition: Partition) -> None:
        self._consumer = LogConsumer(kafka, _FETCH)
        self._partition = partition
        try:
            self.low, self.end = self._consumer.range(partition)
        except BaseException:
            self._consumer.close()
            raise

    def records(self, first: int = 0) -> Iterator[Record]:
        """From offset `first` on, or from the first that is still held."""
        position = max(first, self.low)
        self._consumer.assign({self._partition: position})
        while position < self.end:
            messages = self._consumer.poll(RECORDS_MAX, SILENCE_S_MAX)
            if not messages:
                raise UnavailableError(
                    f"{self._partition.topic}/{self._partition.number} delivers nothing at "
                    f"{position}, its end is {self.end}"
                )
            for message in messages:
                position = (message.offset() or 0) + 1
                if position > self.end:
                    return
                yield Record(position - 1, message.timestamp()[1], message.key(), message.value())

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()
