"""Partitions chosen by other producers for a symbol: Apache Kafka's Java client and librdkafka."""

import random
import subprocess
import time
from contextlib import closing

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from infra.java import find_java
from infra.jvm import FLAGS, Jvm
from infra.kafka_jars import default_cache_dir, fetch_jars
from schemas.partitions import default_partition
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from tests.support.servers import KafkaServer
from tests.unit.schemas.test_partitions import JAVA

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
PARTITIONS = 7


def keys(seed: int) -> list[str]:
    """Random symbols of every length, and the test vectors of the unit tests."""
    rng = random.Random(seed)
    drawn = {"".join(rng.choices(LETTERS, k=rng.randint(1, 10))) for _ in range(400)}
    return sorted(drawn | JAVA.keys())


def found(bootstrap: str, topic: str) -> dict[str, int]:
    """Partition that contains each key."""
    where: dict[str, int] = {}
    with closing(LogConsumer(KafkaAccess(bootstrap), Fetch(wait_ms=10))) as consumer:
        for number in range(PARTITIONS):
            partition = Partition(topic, number)
            for message in consumer.read(partition, *consumer.range(partition)):
                where[str(message.key() or b"", "utf-8")] = number
    return where


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    name = f"partitioned.{time.time_ns()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(name, PARTITIONS)])[name].result()
    return name


def test_symbols_sent_by_the_java_producer_are_on_the_exchanges_partitions(
    kafka: KafkaServer, topic: str
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    jvm = Jvm(find_java(), fetch_jars(default_cache_dir()), FLAGS["short"])
    options = ["--bootstrap-server", kafka.bootstrap_servers, "--topic", topic]
    options += ["--reader-property", "parse.key=true"]
    sent = subprocess.run(
        jvm.command("org.apache.kafka.tools.ConsoleProducer", options),
        input="".join(f"{key}\t{key}\n" for key in keys(seed)),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert sent.returncode == 0, sent.stderr
    expected = {key: default_partition(key, PARTITIONS) for key in keys(seed)}
    assert found(kafka.bootstrap_servers, topic) == expected, f"seed {seed}"


def test_symbols_sent_by_librdkafka_with_murmur2_are_on_the_exchanges_partitions(
    kafka: KafkaServer, topic: str
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random"}
    )
    for key in keys(seed):
        producer.produce(topic, key.encode(), key.encode())
    assert producer.flush(30) == 0
    expected = {key: default_partition(key, PARTITIONS) for key in keys(seed)}
    assert found(kafka.bootstrap_servers, topic) == expected, f"seed {seed}"
