"""Reads the end of a topic's partitions again and again, with one kept client."""

import threading
import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from services.runtime.errors import UnavailableError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.logging_setup import kafka_logger

ANSWER_TIMEOUT_S = 2.0
# A new client reads anew which broker leads a partition.
CLIENT_AGE_S_MAX = 60.0
_CONFIG = {"reconnect.backoff.max.ms": 500}


class TopicEnds:
    """Returns the ends of a topic's partitions. Thread-safe.

    Keeps one client for all requests, because each new one costs threads, connections and metadata.
    It is replaced after an error and when it is old. A consumer that another thread polls cannot
    be used for these requests.
    """

    def __init__(
        self, kafka: KafkaAccess, topic: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = kafka.config() | _CONFIG
        self._topic = topic
        self._clock = clock
        self._replacing = threading.Lock()
        self._client: AdminClient | None = None
        self._made_at_s = 0.0

    def end(self, partition: int) -> int:
        """The offset of a partition's next record. May block. Raises UnavailableError."""
        asked = TopicPartition(self._topic, partition)
        kept = self._client
        try:
            try:
                return self._ask(asked)
            except KafkaException as error:
                # A client from before a broker's restart may be refused; a new one is not.
                if kept is None or error.args[0].code() == KafkaError._TIMED_OUT:
                    raise
                return self._ask(asked)
        except KafkaException as error:
            raise UnavailableError(f"Kafka does not return the end of {asked}: {error}") from error

    def _ask(self, asked: TopicPartition) -> int:
        client = self._present_client()
        try:
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            answers = client.list_offsets({asked: latest}, request_timeout=ANSWER_TIMEOUT_S)
            return int(answers[asked].result().offset)
        except KafkaException:
            self._drop(client)
            raise

    def _present_client(self) -> AdminClient:
        with self._replacing:
            now_s = self._clock()
            if self._client is None or now_s - self._made_at_s > CLIENT_AGE_S_MAX:
                self._client = AdminClient(self._config, logger=kafka_logger())
                self._made_at_s = now_s
            return self._client

    def _drop(self, client: AdminClient) -> None:
        with self._replacing:
            # Another thread may have replaced it already.
            if self._client is client:
                self._client = None
