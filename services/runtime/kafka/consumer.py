"""A consumer with partitions assigned by hand: no group, no rebalance, positions are the caller's.

`poll` waits for the first record and then takes what is there: waiting for a full list would hold
the first record back.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from msgspec import Struct

from schemas.topics import CONSUMER_GROUP, RECORD_BYTES_MAX
from services.runtime.errors import AccessError, BrokenLogError, UnavailableError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.logging_setup import kafka_logger

# How long a start waits for the broker's answer about offsets.
METADATA_TIMEOUT_S = 10.0
# A leader that has just died does not answer: who leads now is asked after this time.
LEADER_TIMEOUT_S = 2.0
RETRY_S = 0.1
# A silent broker for this long during a bounded reading is a broker that is away.
SILENCE_S_MAX = 30.0
READ_RECORDS_MAX = 5_000
# A full local queue would otherwise pause fetching for a whole second.
_QUEUE_BACKOFF_MS = 10
# Errors that the client mends by itself while it goes on fetching.
_PASSING = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        # One that has just become the leader.
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        # One that has left the cluster: its replacement answers.
        KafkaError._DESTROY_BROKER,
    }
)


class Fetch(Struct, frozen=True):
    """How a fetch trades latency for wake-ups: held back `wait_ms` unless `bytes_min` are there."""

    wait_ms: int
    bytes_min: int = 100_000


class Partition(NamedTuple):
    """A topic's partition."""

    topic: str
    number: int


class Range(NamedTuple):
    """Offsets a partition holds: from `low` up to but not including `end`."""

    low: int
    end: int


class LogConsumer:
    """Reads assigned partitions from given offsets. For one thread."""

    def __init__(self, kafka: KafkaAccess, fetch: Fetch) -> None:
        self._kafka = kafka
        self._refusal: AccessError | None = None
        self._consumer = Consumer(
            kafka.config()
            | {
                "group.id": CONSUMER_GROUP,
                "error_cb": self._on_error,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": fetch.wait_ms,
                "fetch.min.bytes": fetch.bytes_min,
                "fetch.message.max.bytes": RECORD_BYTES_MAX,
                "fetch.queue.backoff.ms": _QUEUE_BACKOFF_MS,
                "reconnect.backoff.max.ms": 500,
            },
            logger=kafka_logger(),
        )

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions, each from its offset on."""
        self._consumer.assign(
            [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        )

    def poll(self, records_max: int, wait_s: float) -> list[Message]:
        """What has arrived, at most so many records; empty after `wait_s` without any.

        Raises BrokenLogError when a position is outside of what the log still holds, AccessError
        when Kafka refuses us.
        """
        first = self._consumer.poll(wait_s)
        if first is None:
            if self._refusal is not None:
                raise self._refusal
            return []
        messages = [first, *self._consumer.consume(records_max - 1, 0)]
        if any(message.error() is not None for message in messages):
            return self._without_errors(messages)
        return messages

    def _without_errors(self, messages: list[Message]) -> list[Message]:
        for message in messages:
            error = message.error()
            if error is not None and error.code() not in _PASSING:
                where = f"{message.topic()}/{message.partition()}"
                raise self._kafka.refusal(error) or BrokenLogError(
                    f"reading {where}: {error.str()}"
                )
        return [message for message in messages if message.error() is None]

    def _on_error(self, error: KafkaError) -> None:
        kafka_logger().error("%s", error.str())
        self._refusal = self._refusal or self._kafka.refusal(error)

    def read(self, partition: Partition, start: int, end: int) -> Iterator[Message]:
        """The records from `start` up to but not including `end`, which the log holds.

        Raises UnavailableError when they do not come, BrokenLogError as `poll` does.
        """
        if start >= end:
            return
        self.assign({partition: start})
        position = start
        while position < end:
            messages = self.poll(READ_RECORDS_MAX, SILENCE_S_MAX)
            if not messages:
                raise UnavailableError(f"{partition.topic}/{partition.number} stays silent")
            for message in messages:
                position = (message.offset() or 0) + 1
                if position <= end:
                    yield message

    def range(self, partition: Partition) -> Range:
        """What the partition holds now, by asking the broker.

        Raises UnavailableError, AccessError.
        """
        deadline = time.monotonic() + METADATA_TIMEOUT_S
        while True:
            try:
                low, end = self._consumer.get_watermark_offsets(
                    TopicPartition(*partition), timeout=LEADER_TIMEOUT_S
                )
                return Range(low, end)
            except KafkaException as error:
                # A topic made a moment ago may have no leader yet, another has lost its own, the
                # broker that was asked has left: whatever the error, to ask again does no harm.
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"Kafka does not tell the end of {partition}: {error.args[0].str()}"
                    ) from error
                self._look_again(partition.topic)
                time.sleep(RETRY_S)

    def _look_again(self, topic: str) -> None:
        with contextlib.suppress(KafkaException):
            found = self._consumer.list_topics(topic, timeout=LEADER_TIMEOUT_S).topics[topic]
            refusal = None if found.error is None else self._kafka.refusal(found.error)
            if refusal is not None:
                raise refusal

    def close(self) -> None:
        """Give everything back."""
        self._consumer.close()
