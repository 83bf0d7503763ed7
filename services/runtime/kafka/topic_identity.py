"""Identity of a log: its topic's id, unique even among topics of the same name."""

from confluent_kafka import KafkaException, TopicCollection, Uuid
from confluent_kafka.admin import AdminClient, DescribeClusterResult, TopicDescription
from msgspec import Struct

from schemas.topics import EXECUTIONS
from services.runtime.errors import UnavailableError
from services.runtime.kafka.admin import ATTEMPT_S, call_with_retry
from services.runtime.kafka.client_config import KafkaAccess

_HALF = (1 << 64) - 1


class LogIdentity(Struct, frozen=True):
    """Cluster, topic name and topic id. Kafka never reuses a topic id."""

    cluster_id: str
    topic: str
    topic_id: str


def log_identity(kafka: KafkaAccess, prefix: str) -> LogIdentity:
    """The executions topic of the exchange with this prefix. Raises UnavailableError."""
    topic = EXECUTIONS.full_name(prefix)

    def describe(admin: AdminClient) -> tuple[DescribeClusterResult, TopicDescription]:
        cluster = admin.describe_cluster(request_timeout=ATTEMPT_S).result()
        topics = admin.describe_topics(TopicCollection([topic]), request_timeout=ATTEMPT_S)
        return cluster, topics[topic].result()

    try:
        cluster, described = call_with_retry(kafka, describe)
    except KafkaException as error:
        raise UnavailableError(f"Kafka does not describe {topic}: {error}") from error
    return LogIdentity(str(cluster.cluster_id), topic, topic_id_text(described.topic_id))


def topic_id_text(topic_id: Uuid) -> str:
    """A topic id in hex, as PostgreSQL and snapshots store it."""
    # Both halves come as signed numbers; the library's stubs do not name the methods.
    high: int = topic_id.get_most_significant_bits()  # type: ignore[attr-defined]
    low: int = topic_id.get_least_significant_bits()  # type: ignore[attr-defined]
    return f"{high & _HALF:016x}{low & _HALF:016x}"
