"""A consumer with manually assigned partitions: no group, no rebalance, positions of the caller.

1. `poll` waits for the first record and then returns all that has arrived: waiting for a full list
   would delay the first record.
2. Offsets are not dense: a transaction marker occupies one and is never delivered. An end is
   reached when the position is there, whether or not the last offset held a record.
3. A record counts once it is in the log, whatever becomes of its transaction
   (docs/decisions/read-uncommitted.md), except in the public topics, which matchers write in
   transactions.
4. A batch with a wrong checksum is an error.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from operator import methodcaller
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from msgspec import Struct

from schemas.topics import CONSUMER_GROUP, RECORD_BYTES_MAX
from services.runtime.errors import (
    AccessError,
    BrokenLogError,
    ExchangeError,
    LostTailError,
    UnavailableError,
)
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.records import record_offset, record_partition
from services.runtime.logging_setup import kafka_logger

# Time limit at a start for the broker's answer about offsets.
METADATA_TIMEOUT_S = 10.0
# A leader that has just died does not answer: after this time the current leader is looked up.
LEADER_TIMEOUT_S = 2.0
RETRY_S = 0.1
# A silence of this length during a bounded read means that the broker is away.
SILENCE_S_MAX = 30.0
READ_RECORDS_MAX = 5_000
# A full local queue would otherwise pause fetching for a whole second.
_QUEUE_BACKOFF_MS = 10
# Errors from which the client recovers by itself while it continues fetching.
_PASSING = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        # Answer of a leader that has just been elected.
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        # Answer of a broker that has left the cluster; its replacement answers properly.
        KafkaError._DESTROY_BROKER,
    }
)


# Called for every message: None, or an error, which is always true.
_error = methodcaller("error")


class Fetch(Struct, frozen=True):
    """Trades latency for wake-ups: a fetch is held back `wait_ms` unless `bytes_min` are there."""

    wait_ms: int
    bytes_min: int = 100_000


# For orders and their outcomes: answered as soon as there is a record. In a backlog every fetch is
# full nevertheless. The end of a partition behind a transaction's marker shows by an empty answer,
# which reads that wait for that end (read_your_writes) have the time for.
AT_ONCE = Fetch(wait_ms=250, bytes_min=1)


class Partition(NamedTuple):
    """One partition of a topic."""

    topic: str
    number: int


class Range(NamedTuple):
    """Offsets that a partition holds: from `low` up to but not including `end`."""

    low: int
    end: int


class LogConsumer:
    """Reads assigned partitions from given offsets. For one thread."""

    def __init__(self, kafka: KafkaAccess, fetch: Fetch, *, committed: bool = False) -> None:
        """`committed`: leave out records of transactions that are open or aborted."""
        self._kafka = kafka
        self._refusal: AccessError | None = None
        # Ends that were reached since `take_reached`.
        self._reached: dict[Partition, int] = {}
        self._consumer = Consumer(
            kafka.config()
            | {
                "group.id": CONSUMER_GROUP,
                "error_cb": self._on_error,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed" if committed else "read_uncommitted",
                "enable.partition.eof": True,
                "check.crcs": True,
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
        self._reached.clear()
        self._consumer.assign(
            [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        )

    def poll(self, records_max: int, wait_s: float) -> list[Message]:
        """Records that have arrived, at most `records_max`; empty after `wait_s` without any, or
        when the end of a partition is reached.

        Raises BrokenLogError if a position is outside the range that the log holds, LostTailError
        if the log has lost records that were read, AccessError if Kafka refuses this user.
        """
        first = self._consumer.poll(wait_s)
        if first is None:
            if self._refusal is not None:
                raise self._refusal
            return []
        messages = [first, *self._consumer.consume(records_max - 1, 0)]
        if any(map(_error, messages)):
            return self._without_errors(messages)
        return messages

    def _without_errors(self, messages: list[Message]) -> list[Message]:
        for message in messages:
            error = message.error()
            if error is None:
                continue
            partition = Partition(message.topic() or "", record_partition(message))
            if error.code() == KafkaError._PARTITION_EOF:
                self._reached[partition] = record_offset(message)
            elif error.code() not in _PASSING:
                raise self._kafka.refusal(error) or _unreadable(partition, message, error)
        return [message for message in messages if message.error() is None]

    def take_reached(self) -> dict[Partition, int]:
        """The end offset of each partition that was read to its end since the last call.

        Every record below an end has been returned by `poll`.
        """
        reached, self._reached = self._reached, {}
        return reached

    def _on_error(self, error: KafkaError) -> None:
        kafka_logger().error("%s", error.str())
        self._refusal = self._refusal or self._kafka.refusal(error)

    def read(
        self, partition: Partition, start: int, end: int, silence_s_max: float = SILENCE_S_MAX
    ) -> Iterator[Message]:
        """The records from `start` up to but not including `end`, which the log must hold.

        Raises UnavailableError after `silence_s_max` without one, BrokenLogError as `poll` does.
        """
        if start >= end:
            return
        self.assign({partition: start})
        position = start
        while position < end:
            messages = self.poll(READ_RECORDS_MAX, silence_s_max)
            reached = self.take_reached()
            if not messages and not reached:
                raise UnavailableError(
                    f"{partition.topic}/{partition.number} delivers nothing at {position}, "
                    f"its end is {end}"
                )
            for message in messages:
                position = record_offset(message) + 1
                if position <= end:
                    yield message
            position = max(position, reached.get(partition, 0))

    def range(self, partition: Partition) -> Range:
        """The offsets that the partition holds now, by a request to the broker.

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
                # A new topic may have no leader yet, another has lost its own, the requested broker
                # has left: whatever the error, the request is repeated without harm.
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"Kafka does not report the end of {partition}: {error.args[0].str()}"
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
        """Close the consumer."""
        self._consumer.close()


def _unreadable(partition: Partition, message: Message, error: KafkaError) -> ExchangeError:
    where = f"{partition.topic}/{partition.number} at offset {message.offset()}"
    # The client compares its position with the broker's log after each change of leader. The code
    # is that of a position that was never in the log; only the text differs.
    if error.code() == KafkaError._AUTO_OFFSET_RESET and "truncation" in error.str():
        return LostTailError(
            f"{partition.topic}/{partition.number} has lost its newest records, which a power cut "
            f"of Kafka's machine takes: {error.str()}"
        )
    if error.code() == KafkaError._BAD_MSG:
        return BrokenLogError(
            f"{where} holds a damaged batch: {error.str()}; restore the partition from a replica "
            "or a backup"
        )
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        return BrokenLogError(
            f"{where} does not exist: the topic was trimmed there, or deleted and made again "
            "(docs/operating.md, Deleted topics)"
        )
    return BrokenLogError(f"reading {where}: {error.str()}")
