"""The local Kafka broker: readiness, stable port, kept records and complete removal."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.broker import LocalKafka
from infra.errors import FolderBusyError, ServerFailedError
from infra.ports import LOOPBACK, is_free
from infra.process_table import is_running

TOPIC = "records"
LARGE_BYTES = 6 * 1024 * 1024


@pytest.fixture(scope="module")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    broker = LocalKafka(tmp_path_factory.mktemp("shared") / "kafka")
    yield broker
    broker.kill()


@pytest.fixture
def kafka(shared_broker: LocalKafka) -> LocalKafka:
    """The shared broker, restarted if the previous test stopped it."""
    if not shared_broker.alive:
        shared_broker.start()
    return shared_broker


def port_of(broker: LocalKafka) -> int:
    return int(broker.bootstrap_servers.rpartition(":")[2])


def admin(broker: LocalKafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})


def create_topic(broker: LocalKafka) -> None:
    # A local variable keeps the client alive until its future is resolved.
    client = admin(broker)
    client.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(20)


def produce(broker: LocalKafka, value: bytes) -> None:
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    settings = {"bootstrap.servers": broker.bootstrap_servers, "acks": "all", "log_level": 0}
    producer = Producer(settings | {"message.max.bytes": 8388608})
    producer.produce(TOPIC, value, partition=0, on_delivery=delivered)
    assert producer.flush(20) == 0
    assert failures == []


def read_first(broker: LocalKafka) -> bytes:
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": "test", "log_level": 0}
    )
    try:
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        message = consumer.poll(20)
        assert message is not None
        assert message.error() is None
        value = message.value()
        assert value is not None
        return value
    finally:
        consumer.close()


def test_kafka_when_killed_and_started_keeps_records_and_port(kafka: LocalKafka) -> None:
    create_topic(kafka)
    large = b"x" * LARGE_BYTES
    produce(kafka, large)
    port = port_of(kafka)

    kafka.kill()
    assert not kafka.alive
    kafka.start()

    assert port_of(kafka) == port
    assert read_first(kafka) == large


def test_kafka_when_stopped_leaves_no_process_and_no_port(kafka: LocalKafka) -> None:
    pid, port = kafka.process.pid, port_of(kafka)

    kafka.stop()

    assert not is_running(pid)
    assert is_free(port)
    with socket.socket() as other:
        other.bind((LOOPBACK, port))
        other.listen()
        next_run = LocalKafka(kafka.data_dir)
        next_run.start()
        assert port_of(next_run) != port
        next_run.stop()


def test_kafka_when_paused_answers_nothing_until_resumed(kafka: LocalKafka) -> None:
    kafka.pause()
    with pytest.raises(KafkaException):
        admin(kafka).list_topics(timeout=1)

    kafka.resume()

    assert len(admin(kafka).list_topics(timeout=20).brokers) == 1


def test_kafka_when_a_topic_is_unknown_does_not_create_it(kafka: LocalKafka) -> None:
    found = admin(kafka).list_topics("never-created", timeout=20).topics["never-created"]

    assert found.error is not None
    assert found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert "never-created" not in admin(kafka).list_topics(timeout=20).topics


def test_kafka_when_its_folder_is_owned_refuses_and_harms_nothing(kafka: LocalKafka) -> None:
    with pytest.raises(FolderBusyError, match="another data directory"):
        LocalKafka(kafka.data_dir).start()
    with pytest.raises(ServerFailedError, match="runs already"):
        kafka.start()

    assert kafka.alive


def test_kafka_when_it_cannot_start_shows_its_log(tmp_path: Path) -> None:
    broker = LocalKafka(tmp_path)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=7\n")

    with pytest.raises(ServerFailedError, match=r"ended with exit code 1 .*(?s:.)*node.id"):
        broker.start()

    assert not broker.alive


def test_kafka_in_the_sustained_profile_starts(tmp_path: Path) -> None:
    with LocalKafka(tmp_path / "kafka", profile="sustained") as broker:
        assert len(admin(broker).list_topics(timeout=20).brokers) == 1
