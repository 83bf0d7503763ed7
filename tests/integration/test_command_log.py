"""The end of the command log, read by one kept client, also over a restart of Kafka."""

import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from infra.broker import LocalKafka
from schemas.topics import COMMANDS
from services.reader.command_log import CommandLog
from services.runtime.errors import UnavailableError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.topic_ends import CLIENT_AGE_S_MAX, TopicEnds
from services.runtime.kafka.topics import TopicsAdmin
from tests.support.servers import KafkaServer

PREFIX = "command-log."
WITHIN_S = 30.0


def append(bootstrap: str, records: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for _ in range(records):
        producer.produce(COMMANDS.full_name(PREFIX), b"x", partition=0)
    assert producer.flush(WITHIN_S) == 0


def eventual_end(commands: CommandLog) -> int:
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            return commands.end(0)
        except UnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_end_is_read_quickly_with_a_kept_client(kafka: KafkaServer) -> None:
    access = KafkaAccess(kafka.bootstrap_servers)
    topology = TopicsAdmin(access, PREFIX).apply(1, "process")
    now_s = 0.0
    commands = TopicEnds(access, topology.name(COMMANDS), lambda: now_s)
    before = commands.end(0)
    kept = commands._client
    for number in range(1, 6):
        append(kafka.bootstrap_servers, 1)
        assert commands.end(0) == before + number
    assert CommandLog(access, topology).end(7) == 0
    assert commands._client is kept
    now_s = CLIENT_AGE_S_MAX + 1
    assert commands.end(0) == before + 5
    assert commands._client is not kept


def test_end_after_a_restart_of_kafka_is_never_too_low(tmp_path: Path) -> None:
    broker = LocalKafka(tmp_path / "kafka", profile="short")
    broker.start()
    try:
        access = KafkaAccess(broker.bootstrap_servers)
        topology = TopicsAdmin(access, PREFIX).apply(1, "process")
        commands = CommandLog(access, topology)
        assert commands.end(0) == 0
        for round_ in range(1, 3):
            append(broker.bootstrap_servers, 1)
            broker.kill()
            with pytest.raises(UnavailableError):
                commands.end(0)
            broker.start()
            append(broker.bootstrap_servers, 1)
            assert eventual_end(commands) == 2 * round_
    finally:
        broker.stop()
