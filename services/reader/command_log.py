"""Reads the end of the command log from Kafka, to decide whether outcomes may still arrive."""

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.topics import COMMANDS
from schemas.topology import Topology
from services.runtime.errors import UnavailableError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.logging_setup import kafka_logger

ANSWER_TIMEOUT_S = 2.0


class CommandLog:
    """Creates a client for each question. A consumer that another thread polls does not get this
    answer, and a kept client answers from before a broker's restart."""

    def __init__(self, kafka: KafkaAccess, topology: Topology) -> None:
        self._kafka = kafka
        self._topic = topology.name(COMMANDS)
        self._partitions = topology.partitions

    def end(self, partition: int) -> int:
        """The offset of a partition's next command; 0 for an unknown partition.

        May block; for any thread. Raises UnavailableError.
        """
        if partition >= self._partitions:
            return 0
        asked = TopicPartition(self._topic, partition)
        admin = AdminClient(self._kafka.config(), logger=kafka_logger())
        try:
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            answers = admin.list_offsets({asked: latest}, request_timeout=ANSWER_TIMEOUT_S)
            return int(answers[asked].result().offset)
        except KafkaException as error:
            raise UnavailableError(f"Kafka does not return the end of {asked}: {error}") from error
