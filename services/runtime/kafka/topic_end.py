"""Reads the end of one partition again and again, with one client."""

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from services.runtime.errors import UnavailableError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Partition
from services.runtime.logging_setup import kafka_logger

ANSWER_TIMEOUT_S = 1.0
_CONFIG = {"reconnect.backoff.max.ms": 500}


class TopicEnd:
    """For one thread at a time."""

    def __init__(self, kafka: KafkaAccess, partition: Partition) -> None:
        self._kafka = kafka
        self._asked = TopicPartition(*partition)
        self._admin: AdminClient | None = None

    def read(self) -> int:
        """The offset of the partition's next record. Blocks. Raises UnavailableError."""
        config = self._kafka.config() | _CONFIG
        admin = self._admin or AdminClient(config, logger=kafka_logger())
        # A client that has seen an error may repeat it without end: kept only after an answer.
        self._admin = None
        try:
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            answers = admin.list_offsets({self._asked: latest}, request_timeout=ANSWER_TIMEOUT_S)
            end = int(answers[self._asked].result().offset)
        except KafkaException as error:
            raise UnavailableError(f"Kafka does not return the end of {self._asked}") from error
        self._admin = admin
        return end
