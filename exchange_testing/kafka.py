"""Apache Kafka's image as a container: one KRaft node, reachable from outside and inside."""

import logging
from typing import Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from testcontainers.core.container import DockerContainer

from exchange_testing.waiting import wait_until_ready
from infra.ports import LOOPBACK, free_port

ALIAS = "kafka"
PORT = 9092
PORT_INSIDE = 19092
NODE_ID = 1
# A start takes seconds on a quiet machine; the limit is for a busy one.
READY_TIMEOUT_S = 120.0
_ANSWER_TIMEOUT_S = 3.0

SETTINGS = {
    "NODE_ID": str(NODE_ID),
    "PROCESS_ROLES": "broker,controller",
    "CONTROLLER_QUORUM_VOTERS": f"{NODE_ID}@localhost:9093",
    "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "INTER_BROKER_LISTENER_NAME": "INSIDE",
    "LISTENERS": f"OUTSIDE://:{PORT},INSIDE://:{PORT_INSIDE},CONTROLLER://:9093",
    "LISTENER_SECURITY_PROTOCOL_MAP": "OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "LOG_DIRS": "/var/lib/kafka/data",
    # As the exchange's own local broker: no topic by accident, large records, back soon.
    "AUTO_CREATE_TOPICS_ENABLE": "false",
    "MESSAGE_MAX_BYTES": str(8 << 20),
    "BROKER_SESSION_TIMEOUT_MS": "2000",
    "BROKER_HEARTBEAT_INTERVAL_MS": "500",
    "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "OFFSETS_TOPIC_NUM_PARTITIONS": "1",
    "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
    "SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
    # A short life on a small machine.
    "HEAP_OPTS": "-Xmx256m",
    "JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
}

# librdkafka prints a line for each attempt while the broker is not there yet.
_silent = logging.getLogger("exchange_testing.kafka.librdkafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class KafkaContainer(DockerContainer):
    """`bootstrap_servers` is for this machine; `inside` is for containers of the same network.

    The port is chosen before the start, because a broker announces its address to its clients.
    """

    def __init__(self, image: str, **options: Any) -> None:
        super().__init__(image, **options)
        self.port = free_port()
        self.inside = f"{ALIAS}:{PORT_INSIDE}"
        self.with_bind_ports(PORT, self.port)
        host = self.get_docker_client().host()
        self.host = LOOPBACK if host == "localhost" else host
        for name, value in SETTINGS.items():
            self.with_env(f"KAFKA_{name}", value)
        self.with_env(
            "KAFKA_ADVERTISED_LISTENERS",
            f"OUTSIDE://{self.bootstrap_servers},INSIDE://{self._name_inside()}:{PORT_INSIDE}",
        )

    @property
    def bootstrap_servers(self) -> str:
        """Its address on this machine."""
        return f"{self.host}:{self.port}"

    def start(self) -> Self:
        """Return when it answers. Raises NotReadyError."""
        super().start()
        wait_until_ready(self, "Kafka", self._answers, READY_TIMEOUT_S)
        return self

    def _name_inside(self) -> str:
        # Without a network a container is reachable from inside only as localhost.
        return ALIAS if self._network is not None else "localhost"

    def _answers(self) -> bool:
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers}, logger=_silent)
        try:
            return NODE_ID in client.list_topics(timeout=_ANSWER_TIMEOUT_S).brokers
        except KafkaException:
            return False
