"""Topics on a single broker: refused settings, and topics that a second `apply` keeps unchanged."""

import pytest
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from conformance.api import eventually
from schemas.topics import EXECUTIONS, TIMESTAMP_TYPE, TOPICS
from services.runtime.clock import now_ms
from services.runtime.errors import TopicsError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.topics import TopicsAdmin
from tests.support.servers import KafkaServer


def test_replicated_topics_on_a_single_broker_are_refused(kafka: KafkaServer) -> None:
    admin = TopicsAdmin(KafkaAccess(kafka.bootstrap_servers), "lonely.")
    with pytest.raises(TopicsError, match="replicated needs 3 brokers"):
        admin.apply(1, "replicated")
    with pytest.raises(TopicsError, match="topics are missing"):
        admin.verify()


def test_topics_applied_again_change_their_durability_and_nothing_else(
    kafka: KafkaServer,
) -> None:
    admin = TopicsAdmin(KafkaAccess(kafka.bootstrap_servers), "again.")
    assert admin.apply(1, None).durability == "fsync"
    assert admin.apply(1, "process").durability == "process"
    assert admin.apply(1, None).durability == "fsync"
    with pytest.raises(TopicsError, match="EXCHANGE_PARTITIONS=1"):
        admin.apply(2, None)


def test_record_stamped_hours_ahead_is_accepted_by_every_topic(kafka: KafkaServer) -> None:
    """A service's clock is ahead of Kafka's: the broker stamps the record itself."""
    TopicsAdmin(KafkaAccess(kafka.bootstrap_servers), "ahead.").apply(1, "process")
    stamped: dict[str, tuple[int, int]] = {}
    errors: list[KafkaError | None] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        errors.append(error)
        stamped[message.topic() or ""] = message.timestamp()

    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    ahead_ms = now_ms() + 2 * 60 * 60 * 1000
    for topic in TOPICS:
        producer.produce(
            "ahead." + topic.name, b"{}", b"k", 0, on_delivery=delivered, timestamp=ahead_ms
        )
    assert producer.flush(10) == 0
    assert errors == [None] * len(TOPICS)
    assert all(ms < ahead_ms - 60_000 for _, ms in stamped.values()), stamped


def test_topics_with_timestamps_of_their_writers_work_and_are_changed_by_apply(
    kafka: KafkaServer, caplog: pytest.LogCaptureFixture
) -> None:
    access = KafkaAccess(kafka.bootstrap_servers)
    admin = TopicsAdmin(access, "earlier.")
    topology = admin.apply(1, "process")
    name = "earlier." + EXECUTIONS.name
    of_writers = ConfigEntry(
        TIMESTAMP_TYPE, "CreateTime", incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[of_writers])
    client = AdminClient(access.config())
    for changed in client.incremental_alter_configs([resource]).values():
        changed.result()
    eventually("the change", lambda: admin.verify() == topology and bool(caplog.records))
    assert f"{EXECUTIONS.name} has {TIMESTAMP_TYPE}=CreateTime" in caplog.text
    admin.apply(1, "process")
    caplog.clear()
    eventually("the change back", lambda: "CreateTime" not in verified(admin, caplog))


def verified(admin: TopicsAdmin, caplog: pytest.LogCaptureFixture) -> str:
    """The log lines of one verification."""
    caplog.clear()
    admin.verify()
    return caplog.text
