"""Reads the end of the command log from Kafka, to decide whether outcomes may still arrive."""

from schemas.topics import COMMANDS
from schemas.topology import Topology
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.topic_ends import TopicEnds


class CommandLog:
    """The ends of the command log's partitions. Thread-safe."""

    def __init__(self, kafka: KafkaAccess, topology: Topology) -> None:
        self._partitions = topology.partitions
        self._ends = TopicEnds(kafka, topology.name(COMMANDS))

    def end(self, partition: int) -> int:
        """The offset of a partition's next command; 0 for an unknown partition.

        May block; for any thread. Raises UnavailableError.
        """
        return self._ends.end(partition) if partition < self._partitions else 0
