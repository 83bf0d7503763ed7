"""A broker with authentication and access rules: refused clients fail soon, without retries.

Each refusal is reported in one line.
"""

import logging
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic
from msgspec import structs

from conformance.api import eventually
from infra.broker import ADMIN, LocalKafka
from infra.ports import LOOPBACK
from schemas.roles import ROLE
from schemas.topics import BROKERS, COMMANDS, EXECUTIONS
from services.access.kafka_acls import apply_to_kafka
from services.runtime.errors import AccessError, ExchangeError, TopicsError, UnavailableError
from services.runtime.kafka.admin import call_with_retry
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.kafka.producer import FailFastSender, NotQueuedError, Sender, append
from services.runtime.kafka.topics import TopicsAdmin

PREFIX = "gate."
WRONG = "guessed"
FIRST = {role: f"{role}'s first password" for role in ROLE}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A secured broker with topics and with the access rules of every role."""
    with LocalKafka(tmp_path_factory.mktemp("gate") / "kafka", secured=True) as kafka:
        apply_to_kafka(admin_of(kafka), PREFIX, FIRST)
        TopicsAdmin(as_user(kafka, "operator"), PREFIX).apply(1, "process")
        yield kafka


def admin_of(kafka: LocalKafka) -> KafkaAccess:
    return KafkaAccess(kafka.bootstrap_servers, ADMIN, kafka.admin_password, "PLAIN")


def as_user(kafka: LocalKafka, role: str) -> KafkaAccess:
    return KafkaAccess(kafka.bootstrap_servers, ROLE[role].user(PREFIX), FIRST[role])


def answers_without_authentication(kafka: LocalKafka) -> list[bytes]:
    """Each port's answer to a request to describe the cluster without authentication."""
    assert kafka._member is not None
    node = kafka._member[1]
    answers = []
    # DescribeCluster, version 1: once for the brokers, once for the controllers.
    for port, which in ((node.broker_port, 1), (node.controller_port, 2)):
        request = struct.pack(">hhihbbbb", 60, 1, 7, -1, 0, 0, which, 0)
        with socket.create_connection((LOOPBACK, port), timeout=20) as wire:
            wire.sendall(struct.pack(">i", len(request)) + request)
            answers.append(wire.recv(4))
    return answers


def test_secured_broker_answers_no_unauthenticated_client_on_any_port(
    broker: LocalKafka, tmp_path: Path
) -> None:
    assert answers_without_authentication(broker) == [b"", b""]
    with LocalKafka(tmp_path) as open_broker:
        assert b"" not in answers_without_authentication(open_broker)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda good: structs.replace(good, password=WRONG),
        lambda good: structs.replace(good, user="gate.unknown"),
        lambda good: structs.replace(good, user=ADMIN),
        lambda good: structs.replace(good, mechanism="PLAIN"),
        lambda good: structs.replace(good, mechanism="SCRAM-SHA-256"),
    ],
    ids=["password", "user", "administrator", "plain", "mechanism"],
)
def test_wrong_credentials_raise_an_error_with_the_user_and_no_password(
    broker: LocalKafka, wrong: Callable[[KafkaAccess], KafkaAccess]
) -> None:
    access = wrong(as_user(broker, "sink"))
    with pytest.raises(AccessError, match=f"does not let user {access.user} in") as caught:
        TopicsAdmin(access, PREFIX).verify()
    assert access.password not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_operation_not_granted_to_a_role_raises_an_error_with_the_user(broker: LocalKafka) -> None:
    analyst, reader = as_user(broker, "analyst"), as_user(broker, "reader")
    commands = Partition(COMMANDS.full_name(PREFIX), 0)
    forbidden = pytest.raises(AccessError, match=f"forbids user {PREFIX}")
    with forbidden, closing(LogReader(analyst, commands)):
        pass
    with closing(LogConsumer(reader, Fetch(10))) as consumer:
        consumer.assign({commands: 0})
        with pytest.raises(AccessError, match=r"forbids user gate.reader"):
            eventually("refused", lambda: bool(consumer.poll(1, 5.0)))
    with pytest.raises(AccessError, match=r"forbids user gate.reader"):
        append(reader, EXECUTIONS.full_name(PREFIX), 0, b"0", b"{}")
    sender = FailFastSender(as_user(broker, "gateway"), linger_ms=0)
    sender.send(EXECUTIONS.full_name(PREFIX), 0, b"0", b"{}")
    with pytest.raises(AccessError, match=r"forbids user gate.gateway"):
        sender.flush()
    new = NewTopic(PREFIX + "another", 1, 1)
    with pytest.raises(AccessError, match=r"forbids user gate.gateway"):
        call_with_retry(
            as_user(broker, "gateway"),
            lambda admin: admin.create_topics([new])["gate.another"].result(),
        )


def test_topics_hidden_from_a_user_are_reported_as_forbidden(broker: LocalKafka) -> None:
    with pytest.raises(TopicsError, match=r"missing, or not for user gate.analyst to see: .*apply"):
        TopicsAdmin(as_user(broker, "analyst"), PREFIX).verify()


def test_forbidden_record_is_reported_as_not_stored(broker: LocalKafka) -> None:
    fates: list[str] = []
    failures: list[ExchangeError] = []
    access = as_user(broker, "gateway")
    sender = Sender(access, linger_ms=0, timeout_ms=10_000, failed=failures.append)
    sender.send(BROKERS.full_name(PREFIX), 0, b"a", b"{}", fates.append)
    sender.send(EXECUTIONS.full_name(PREFIX), 0, b"a", b"{}", fates.append)
    assert sender.close() == 0
    assert sorted(fates) == ["not_stored", "stored"]
    assert failures == []


def test_producer_without_any_right_to_write_fails_for_good(broker: LocalKafka) -> None:
    failures: list[ExchangeError] = []
    access = as_user(broker, "reader")
    sender = Sender(access, linger_ms=0, timeout_ms=10_000, failed=failures.append)
    eventually("a failure", lambda: bool(failures))
    assert [type(failure) for failure in failures] == [AccessError]
    assert not sender.available
    with pytest.raises(NotQueuedError):
        sender.send(BROKERS.full_name(PREFIX), 0, b"a", b"{}", lambda _: None)
    sender.close()
    assert len(failures) == 1

    def sent() -> bool:
        required.send(EXECUTIONS.full_name(PREFIX), 0, b"0", b"{}")
        required.check()
        return False

    required = FailFastSender(access, linger_ms=0)
    with pytest.raises(AccessError, match=r"forbids user gate.reader"):
        eventually("refused", sent)


def test_changed_password_refuses_clients_with_the_old_one_when_they_reconnect(
    broker: LocalKafka, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    old = as_user(broker, "matcher")
    second = FIRST | {"matcher": "matcher's second password"}
    executions = Partition(EXECUTIONS.full_name(PREFIX), 0)
    with closing(LogConsumer(old, Fetch(10, 1))) as consumer:
        consumer.assign({executions: 0})
        assert consumer.poll(1, 0.5) == []
        apply_to_kafka(admin_of(broker), PREFIX, second)
        # Existing connections remain valid after a password change.
        assert consumer.poll(1, 0.5) == []
        broker.stop()
        broker.start()
        with pytest.raises(AccessError, match=r"does not let user gate.matcher in"):
            eventually("refused", lambda: bool(consumer.poll(1, 1.0)))
    new = structs.replace(old, password=second["matcher"])
    TopicsAdmin(new, PREFIX).verify()
    apply_to_kafka(admin_of(broker), PREFIX, FIRST)
    TopicsAdmin(old, PREFIX).verify()
    for password in (*FIRST.values(), *second.values(), broker.admin_password):
        assert password not in caplog.text


def test_data_of_an_open_broker_is_kept_when_it_is_secured_and_opened_again(
    tmp_path: Path,
) -> None:
    with LocalKafka(tmp_path) as kafka:
        TopicsAdmin(KafkaAccess(kafka.bootstrap_servers), PREFIX).apply(1, "process")
        append(KafkaAccess(kafka.bootstrap_servers), COMMANDS.full_name(PREFIX), 0, b"k", b"v")
    with LocalKafka(tmp_path, secured=True) as kafka:
        apply_to_kafka(admin_of(kafka), PREFIX, FIRST)
        partition = Partition(COMMANDS.full_name(PREFIX), 0)
        with closing(LogReader(as_user(kafka, "matcher"), partition)) as reader:
            assert [record.value for record in reader.records()] == [b"v"]
        assert (tmp_path / "server.properties").stat().st_mode & 0o077 == 0
        assert (tmp_path / "admin-password").stat().st_mode & 0o077 == 0
    with LocalKafka(tmp_path) as kafka:
        TopicsAdmin(KafkaAccess(kafka.bootstrap_servers), PREFIX).verify()


def test_client_without_a_user_fails_with_kafka_does_not_answer(broker: LocalKafka) -> None:
    with pytest.raises(UnavailableError, match="Kafka does not answer"):
        TopicsAdmin(KafkaAccess(broker.bootstrap_servers), PREFIX).verify()
