"""Creates the topics and verifies them. A topic of the wrong shape prevents the start."""

import logging
import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)
from msgspec import Struct

from schemas.topics import COMMANDS, TIMESTAMP_TYPE, TOPICS, Topic
from schemas.topology import Durability, Topology, config_of, durability_of
from services.runtime.errors import TopicsError
from services.runtime.kafka.admin import ATTEMPT_S, RETRY_S, TIMEOUT_S, call_with_retry, is_away
from services.runtime.kafka.client_config import KafkaAccess

log = logging.getLogger(__name__)

_REPLICAS_FOR_REPLICATED = 3


class _Shape(Struct, frozen=True):
    """Present shape of a topic; `replicas` of the partition that has the fewest."""

    partitions: int
    replicas: int


class TopicsAdmin:
    """Creates, verifies and describes the topics of one exchange."""

    def __init__(self, kafka: KafkaAccess, prefix: str) -> None:
        self._kafka = kafka
        self._prefix = prefix

    def apply(self, partitions: int, durability: Durability | None) -> Topology:
        """Create missing topics and set all policies. Raises TopicsError on another shape.

        The replication factor is fixed at creation; brokers that are away later, or added, do not
        change it.
        """
        brokers, present = self._listed()
        replicas = min([_REPLICAS_FOR_REPLICATED, *(each.replicas for each in present.values())])
        if not present:
            replicas = min(replicas, brokers)
        enough = replicas >= _REPLICAS_FOR_REPLICATED
        chosen = durability or ("replicated" if enough else "fsync")
        if chosen == "replicated" and not enough:
            raise TopicsError(
                f"durability replicated needs {_REPLICAS_FOR_REPLICATED} brokers when the topics "
                f"are created; there are {brokers}, and topics with {replicas} replicas"
            )
        topology = Topology(self._prefix, partitions, chosen)
        for topic in TOPICS:
            self._refuse_other_count(topic, topology, present)
        missing = [topic for topic in TOPICS if topic.full_name(self._prefix) not in present]
        if missing:
            self._create(missing, topology, replicas)
        self._set_configs(topology)
        return self._wait_until_known(topology)

    def verify(self) -> Topology:
        """The present topology. Raises TopicsError if a topic is missing or of another shape."""
        _, present = self._listed()
        missing = [t.name for t in TOPICS if t.full_name(self._prefix) not in present]
        if missing:
            raise TopicsError(
                f"topics are missing{self._or_hidden()}: {', '.join(missing)}; "
                f"run: exchange topics apply"
            )
        configs = self._configs()
        topology = Topology(
            self._prefix,
            present[COMMANDS.full_name(self._prefix)].partitions,
            durability_of(configs[COMMANDS.name]),
        )
        for topic in TOPICS:
            self._refuse_other_count(topic, topology, present)
            for key, wanted in topic.config.items():
                found = configs[topic.name].get(key)
                if found == wanted:
                    continue
                text = f"topic {topic.name} has {key}={found}, needs {wanted}"
                if key == TIMESTAMP_TYPE and topic is not COMMANDS:
                    # Topics of earlier versions: they work while all clocks are about right.
                    log.warning("%s; run: exchange topics apply", text)
                    continue
                raise TopicsError(f"{text}; run: exchange topics apply")
        return topology

    def _or_hidden(self) -> str:
        # Kafka does not distinguish a topic that this user may not see from a missing one.
        return f", or not for user {self._kafka.user} to see" if self._kafka.user else ""

    def _refuse_other_count(
        self, topic: Topic, topology: Topology, present: dict[str, _Shape]
    ) -> None:
        shape = present.get(topic.full_name(self._prefix))
        wanted = topology.partitions_of(topic)
        if shape is not None and shape.partitions != wanted:
            raise TopicsError(
                f"topic {topic.name} has {shape.partitions} partitions, not {wanted}; the count "
                f"never changes: set EXCHANGE_PARTITIONS={shape.partitions}, or use other topics"
            )

    def _listed(self) -> tuple[int, dict[str, _Shape]]:
        """Number of brokers, and the exchange's existing topics by full name."""
        metadata = call_with_retry(self._kafka, lambda admin: admin.list_topics(timeout=ATTEMPT_S))
        ours = {topic.full_name(self._prefix) for topic in TOPICS} & metadata.topics.keys()
        return len(metadata.brokers), {name: _shape(metadata.topics[name]) for name in ours}

    def _create(self, topics: list[Topic], topology: Topology, replicas: int) -> None:
        new = [
            NewTopic(
                topic.full_name(self._prefix),
                num_partitions=topology.partitions_of(topic),
                replication_factor=replicas,
                config=config_of(topic, topology.durability),
            )
            for topic in topics
        ]

        def create(admin: AdminClient) -> None:
            for name, future in admin.create_topics(new, request_timeout=ATTEMPT_S).items():
                try:
                    future.result()
                except KafkaException as error:
                    if is_away(error):
                        raise
                    # Two starts may create the same topic, and an answer may have been lost.
                    if (why := error.args[0]).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        failure = TopicsError(f"topic {name}: {why.str()}")
                        raise self._kafka.refusal(why) or failure from error

        call_with_retry(self._kafka, create)

    def _wait_until_known(self, topology: Topology) -> Topology:
        """Wait until every broker knows the new topics: a moment, longer on a slow disk."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                if (found := self.verify()) == topology or time.monotonic() >= deadline:
                    return found
            except TopicsError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(RETRY_S)

    def _set_configs(self, topology: Topology) -> None:
        wanted = [
            ConfigResource(
                ResourceType.TOPIC,
                topic.full_name(self._prefix),
                incremental_configs=[
                    ConfigEntry(key, text, incremental_operation=AlterConfigOpType.SET)
                    for key, text in config_of(topic, topology.durability).items()
                ],
            )
            for topic in TOPICS
        ]

        def alter(admin: AdminClient) -> None:
            futures = admin.incremental_alter_configs(wanted, request_timeout=ATTEMPT_S)
            for future in futures.values():
                future.result()

        call_with_retry(self._kafka, alter)

    def _configs(self) -> dict[str, dict[str, str]]:
        """Settings of each topic by its name without prefix."""
        resources = [ConfigResource(ResourceType.TOPIC, t.full_name(self._prefix)) for t in TOPICS]

        def describe(admin: AdminClient) -> dict[str, dict[str, str]]:
            answers = admin.describe_configs(resources, request_timeout=ATTEMPT_S)
            return {
                resource.name.removeprefix(self._prefix): {
                    key: entry.value for key, entry in future.result().items()
                }
                for resource, future in answers.items()
            }

        return call_with_retry(self._kafka, describe)

    def show(self) -> list[tuple[Topic, int, dict[str, str]]]:
        """Each topic with its partition count and settings, once verified."""
        topology = self.verify()
        configs = self._configs()
        return [(t, topology.partitions_of(t), configs[t.name]) for t in TOPICS]


def _shape(metadata: TopicMetadata) -> _Shape:
    replicas = [len(partition.replicas) for partition in metadata.partitions.values()]
    return _Shape(len(replicas), min(replicas, default=0))
