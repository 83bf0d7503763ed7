"""Load for a training run: the requests of an exchange, as fast as the broker answers.

Small batches with `acks=all`, fetches that wait for the next record, and transactions, on two
partitions each. The broker's JVM records which methods are hot under it.
"""

import logging
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.errors import ServerFailedError

LOG, PUBLIC = "training.log", "training.public"
PARTITIONS = 2
VALUE = b"x" * 250
# Records sent before the next fetch; the number grows to the last and begins again.
BURST_MAX = 12
TRANSACTION_EVERY = 25
_ANSWER_TIMEOUT_S = 30.0
Config = dict[str, str | int | float | bool]

# librdkafka reports each wait for a coordinator that is still loading.
_silent = logging.getLogger("infra.aot_workload.librdkafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


def exercise(bootstrap: str, duration_s: float) -> int:
    """Load the broker for this time; returns the number of records that came back.

    Raises ServerFailedError.
    """
    try:
        _create_topics(bootstrap)
        return _Load(bootstrap).run(duration_s)
    except KafkaException as error:
        raise ServerFailedError(f"the broker failed under the training load: {error}") from error


def _create_topics(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [NewTopic(name, PARTITIONS, config={"flush.messages": "1"}) for name in (LOG, PUBLIC)]
    for created in admin.create_topics(topics).values():
        created.result(_ANSWER_TIMEOUT_S)


class _Load:
    def __init__(self, bootstrap: str) -> None:
        shared = {"bootstrap.servers": bootstrap}
        one = {**shared, "acks": "all", "enable.idempotence": True, "linger.ms": 0}
        self.log = Producer({**one, "max.in.flight.requests.per.connection": 1}, logger=_silent)
        self.public = Producer({**one, "transactional.id": "training"}, logger=_silent)
        self.public.init_transactions(_ANSWER_TIMEOUT_S)
        reading: Config = {**shared, "group.id": "training", "enable.auto.commit": False}
        self.readers = [self._reader(reading, topic) for topic in (LOG, PUBLIC)]

    def _reader(self, config: Config, topic: str) -> Consumer:
        reader = Consumer({**config, "auto.offset.reset": "earliest"}, logger=_silent)
        reader.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        return reader

    def run(self, duration_s: float) -> int:
        """Records read."""
        read, turn, deadline = 0, 0, time.monotonic() + duration_s
        try:
            while time.monotonic() < deadline:
                self._send(turn)
                read += self._read()
                turn += 1
        finally:
            self.log.flush(_ANSWER_TIMEOUT_S)
            for reader in self.readers:
                reader.close()
        return read

    def _send(self, turn: int) -> None:
        for number in range(turn % BURST_MAX + 1):
            self.log.produce(LOG, VALUE, str(number), partition=(turn + number) % PARTITIONS)
        self.log.poll(0)
        if turn % TRANSACTION_EVERY == 0:
            self.public.begin_transaction()
            for number in range(BURST_MAX):
                self.public.produce(PUBLIC, VALUE, partition=number % PARTITIONS)
            self.public.commit_transaction(_ANSWER_TIMEOUT_S)

    def _read(self) -> int:
        log, public = self.readers
        first = log.poll(0.05)
        return (first is not None) + len(log.consume(100, 0)) + len(public.consume(100, 0))
