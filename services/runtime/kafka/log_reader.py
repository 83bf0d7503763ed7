"""One partition of a topic as an iterator of records, from the start to a fixed end.

For operators' commands: a `LogConsumer` for one reading, with its records as plain values.
"""

from collections.abc import Iterator
from typing import NamedTuple

from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.records import record_offset

# Commands run at a terminal, so they report an absent Kafka sooner than a service does.
SILENCE_S_MAX = 15.0
_FETCH = Fetch(wait_ms=10, bytes_min=1)


class Record(NamedTuple):
    """A record of a topic; `timestamp` in milliseconds."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class LogReader:
    """One partition up to `end`, exclusive; `low` is the first offset that it still holds."""

    def __init__(
        self, kafka: KafkaAccess, partition: Partition, *, committed: bool = False
    ) -> None:
        """`committed` as for `LogConsumer`."""
        self._consumer = LogConsumer(kafka, _FETCH, committed=committed)
        self._partition = partition
        try:
            self.low, self.end = self._consumer.range(partition)
        except BaseException:
            self._consumer.close()
            raise

    def records(self, first: int = 0) -> Iterator[Record]:
        """Records from offset `first` on, or from the first one held. Raises as
        `LogConsumer.read`."""
        start = max(first, self.low)
        for message in self._consumer.read(self._partition, start, self.end, SILENCE_S_MAX):
            yield Record(
                record_offset(message), message.timestamp()[1], message.key(), message.value()
            )

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()
