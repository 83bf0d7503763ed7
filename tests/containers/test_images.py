"""The Kafka and PostgreSQL images accept the official images' variables and behave like them."""

import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from conformance.api import eventually
from exchange_testing.engine import engine
from exchange_testing.images import KAFKA, POSTGRES
from exchange_testing.kafka import PORT_INSIDE
from tests.containers.running import docker
from tests.support.containers import ContainerPostgres, Containers, running_containers

TOPIC = "kept"
# A broker redirects clients to the address that their listener advertises: within the container
# only this one is reachable.
INSIDE = f"--bootstrap-server localhost:{PORT_INSIDE}"
TOPICS = f"/opt/kafka/bin/kafka-topics.sh {INSIDE}"
BACK_WITHIN_S = 120.0
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def servers() -> Iterator[Containers]:
    with running_containers() as running:
        yield running


def value_of(servers: Containers, name: str) -> str:
    resource = ConfigResource(ResourceType.BROKER, "1")
    client = AdminClient({"bootstrap.servers": servers.kafka.bootstrap_servers})
    return str(client.describe_configs([resource])[resource].result()[name].value)


def test_kafka_reads_its_settings_from_variables(servers: Containers) -> None:
    assert value_of(servers, "message.max.bytes") == str(8 << 20)
    assert value_of(servers, "auto.create.topics.enable") == "false"


def test_kafka_has_the_tools_that_a_health_check_runs(servers: Containers) -> None:
    api_versions = f"/opt/kafka/bin/kafka-broker-api-versions.sh {INSIDE}"
    for command in (api_versions, f"{TOPICS} --list"):
        assert servers.kafka.exec(["bash", "-c", command]).exit_code == 0


def test_servers_in_containers_do_not_run_as_root(servers: Containers) -> None:
    assert servers.kafka.exec(["id", "-u"]).output.strip() != b"0"
    # The official image starts as root and then runs its server as another user.
    with psycopg.connect(servers.postgres.url) as connection:
        status = connection.execute("SELECT pg_read_file('/proc/self/status')").fetchone()
    assert status is not None
    assert "\nUid:\t0\t" not in status[0]


def test_kafka_killed_and_started_keeps_its_records(servers: Containers) -> None:
    created = servers.kafka.exec(["bash", "-c", f"{TOPICS} --create --topic {TOPIC}"])
    assert created.exit_code == 0, created.output
    offsets: list[int | None] = []
    config = {"bootstrap.servers": servers.kafka.bootstrap_servers, "enable.idempotence": True}
    producer = Producer(config)
    for after_kill in (False, True):
        if after_kill:
            container = servers.kafka.get_wrapped_container()
            container.kill()
            container.start()
        producer.produce(TOPIC, b"", on_delivery=lambda _, stored: offsets.append(stored.offset()))
        assert producer.flush(BACK_WITHIN_S) == 0
    assert offsets == [0, 1]


def test_postgres_killed_and_started_keeps_its_rows_and_port(servers: Containers) -> None:
    postgres: ContainerPostgres = servers.postgres
    url = postgres.create_database("kept")
    assert postgres.create_database("kept") == url
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5)
    postgres.start()
    with closing(psycopg.connect(url)) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_postgres_without_a_password_refuses_its_first_start() -> None:
    with engine() as client:
        image = POSTGRES.choose(client, None)
    name = f"no-password-{time.time_ns()}"
    docker("run", "--detach", "--name", name, image)
    try:
        assert docker("wait", name) == "1"
        assert "POSTGRES_PASSWORD" in docker("logs", name)
    finally:
        docker("rm", "--force", "--volumes", name)


def test_kafka_stopped_by_the_engine_exits_without_being_killed() -> None:
    with engine() as client:
        image = KAFKA.choose(client, None)
    name = f"stopped-{time.time_ns()}"
    # Without any variable the image starts a single node.
    docker("run", "--detach", "--name", name, image)
    try:
        eventually("it starts", lambda: "Server started" in docker("logs", name), BACK_WITHIN_S)
        docker("stop", "--time", "60", name)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", name) in {"0", "143"}
    finally:
        docker("rm", "--force", "--volumes", name)
