"""Creates the topics and verifies them. A topic of the wrong shape is a refusal to start."""

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from msgspec import Struct

from schemas.topics import COMMANDS, TOPICS, Topic
from services.runtime.errors import TopicsError, UnavailableError
from services.runtime.log import kafka_logger
from services.runtime.settings import Durability

TIMEOUT_S = 15.0
# `flush.messages` of a topic that leaves flushing to the operating system: Kafka's own default.
_NEVER_FLUSH = str(2**63 - 1)
_REPLICAS_FOR_REPLICATED = 3


class Topology(Struct, frozen=True):
    """What an exchange's topics look like on its Kafka. The prefix sets it apart from others."""

    prefix: str
    partitions: int
    durability: Durability

    def partitions_of(self, topic: Topic) -> int:
        """How many partitions this topic has."""
        return self.partitions if topic.by_symbol else 1


class TopicsAdmin:
    """Creates, verifies and describes the topics of one exchange."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap}, logger=kafka_logger())
        self._prefix = prefix

    def brokers(self) -> int:
        """How many brokers there are. Raises UnavailableError."""
        try:
            return len(self._admin.list_topics(timeout=TIMEOUT_S).brokers)
        except KafkaException as error:
            raise UnavailableError(f"Kafka does not answer: {error.args[0].str()}") from error

    def apply(self, partitions: int, durability: Durability | None) -> Topology:
        """Create what is missing, set every policy. Raises TopicsError on another shape."""
        brokers = self.brokers()
        chosen = durability or ("replicated" if brokers >= _REPLICAS_FOR_REPLICATED else "fsync")
        if chosen == "replicated" and brokers < _REPLICAS_FOR_REPLICATED:
            raise TopicsError(f"durability replicated needs 3 brokers, there are {brokers}")
        topology = Topology(self._prefix, partitions, chosen)
        present = self._partition_counts()
        for topic in TOPICS:
            self._refuse_other_count(topic, topology, present)
        self._create([t for t in TOPICS if self._prefix + t.name not in present], topology, brokers)
        self._set_configs(topology)
        return self.verify()

    def verify(self) -> Topology:
        """What the topics are. Raises TopicsError when one is missing or of another shape."""
        self.brokers()
        present = self._partition_counts()
        missing = [t.name for t in TOPICS if self._prefix + t.name not in present]
        if missing:
            raise TopicsError(
                f"topics are missing: {', '.join(missing)}; run: exchange topics apply"
            )
        configs = self._configs()
        topology = Topology(
            self._prefix,
            present[self._prefix + COMMANDS.name],
            _durability(configs[COMMANDS.name]),
        )
        for topic in TOPICS:
            self._refuse_other_count(topic, topology, present)
            for key, wanted in topic.config.items():
                if configs[topic.name].get(key) != wanted:
                    raise TopicsError(
                        f"topic {topic.name} has {key}={configs[topic.name].get(key)}, needs "
                        f"{wanted}; run: exchange topics apply"
                    )
        return topology

    def _refuse_other_count(
        self, topic: Topic, topology: Topology, present: dict[str, int]
    ) -> None:
        count = present.get(self._prefix + topic.name)
        wanted = topology.partitions_of(topic)
        if count is not None and count != wanted:
            raise TopicsError(
                f"topic {topic.name} has {count} partitions, not {wanted}; the count never "
                f"changes: set EXCHANGE_PARTITIONS={count}, or use other topics"
            )

    def _partition_counts(self) -> dict[str, int]:
        listed = self._admin.list_topics(timeout=TIMEOUT_S).topics
        return {name: len(metadata.partitions) for name, metadata in listed.items()}

    def _create(self, topics: list[Topic], topology: Topology, brokers: int) -> None:
        if not topics:
            return
        replication = min(brokers, _REPLICAS_FOR_REPLICATED)
        created = self._admin.create_topics(
            [
                NewTopic(
                    self._prefix + topic.name,
                    num_partitions=topology.partitions_of(topic),
                    replication_factor=replication,
                    config=_config_of(topic, topology.durability),
                )
                for topic in topics
            ],
            request_timeout=TIMEOUT_S,
        )
        for name, future in created.items():
            try:
                future.result()
            except KafkaException as error:
                # Two exchanges' starts may race for the same topic; the loser is content.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise TopicsError(f"topic {name}: {error.args[0].str()}") from error

    def _set_configs(self, topology: Topology) -> None:
        wanted = [
            ConfigResource(
                ResourceType.TOPIC,
                self._prefix + topic.name,
                incremental_configs=[
                    ConfigEntry(key, text, incremental_operation=AlterConfigOpType.SET)
                    for key, text in _config_of(topic, topology.durability).items()
                ],
            )
            for topic in TOPICS
        ]
        _await(self._admin.incremental_alter_configs(wanted).values())

    def _configs(self) -> dict[str, dict[str, str]]:
        """Config of each of our topics by its plain name."""
        resources = [ConfigResource(ResourceType.TOPIC, self._prefix + t.name) for t in TOPICS]
        answers = self._admin.describe_configs(resources, request_timeout=TIMEOUT_S)
        return {
            resource.name.removeprefix(self._prefix): {
                key: entry.value for key, entry in future.result().items()
            }
            for resource, future in answers.items()
        }

    def show(self) -> list[tuple[Topic, int, dict[str, str]]]:
        """Each topic with its partition count and config, once verified."""
        topology = self.verify()
        configs = self._configs()
        return [(t, topology.partitions_of(t), configs[t.name]) for t in TOPICS]


def _await(futures: Iterable[object]) -> None:
    for future in futures:
        future.result()  # type: ignore[attr-defined]


def _config_of(topic: Topic, durability: Durability) -> dict[str, str]:
    config = dict(topic.config)
    config["min.insync.replicas"] = "2" if durability == "replicated" else "1"
    if topic is COMMANDS:
        config["flush.messages"] = "1" if durability == "fsync" else _NEVER_FLUSH
    return config


def _durability(commands: dict[str, str]) -> Durability:
    if commands.get("flush.messages") == "1":
        return "fsync"
    return "replicated" if commands.get("min.insync.replicas") == "2" else "process"
