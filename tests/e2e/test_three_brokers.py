"""An exchange on three Kafka brokers: after the loss of any one of them it still accepts orders."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, TopicDescription

from conformance.api import Api, eventually
from infra.cluster import NODES, LocalKafkaCluster
from schemas.topics import COMMANDS, TOPICS
from services.audit.run import run_audit
from services.local.exchange import LocalExchange, running_exchange
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.progress import Progress
from services.runtime.settings import Settings
from tests.support.clients import LoggingClients

# Measured: 2-4 s until orders resume; the rest allows for a busy machine.
RESUME_S_MAX = 45.0
IN_SYNC_S = 60.0
SYMBOLS = ["AAA", "BBB", "CCC", "DDD"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafkaCluster]:
    brokers = LocalKafkaCluster(tmp_path_factory.mktemp("cluster"))
    try:
        brokers.start()
        yield brokers
    finally:
        brokers.kill()


@pytest.fixture(scope="module")
def stack(
    cluster: LocalKafkaCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalExchange]:
    settings = Settings(port=0, kafka=cluster.bootstrap_servers)
    with running_exchange(tmp_path_factory.mktemp("replicated"), settings) as running:
        yield running


def topics(cluster: LocalKafkaCluster) -> list[TopicDescription]:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    names = TopicCollection([topic.name for topic in TOPICS])
    return [each.result() for each in admin.describe_topics(names, request_timeout=10).values()]


def leader(cluster: LocalKafkaCluster) -> int:
    """Node that leads partition 0 of the commands."""
    [commands] = [each for each in topics(cluster) if each.name == COMMANDS.name]
    found = commands.partitions[0].leader
    assert found is not None
    return found.id


def in_sync(cluster: LocalKafkaCluster) -> bool:
    try:
        return all(
            len(partition.isr) == NODES
            for topic in topics(cluster)
            for partition in topic.partitions
        )
    except KafkaException:
        return False


@contextmanager
def one_broker_down(cluster: LocalKafkaCluster, number: int) -> Iterator[None]:
    """Kill a broker; start it at the end and wait until it is in sync.

    The body runs so soon after the kill that the other brokers still list it.
    """
    cluster.nodes[number].kill()
    try:
        yield
    finally:
        cluster.nodes[number].start()
        eventually("in sync again", lambda: in_sync(cluster), IN_SYNC_S)


def register(stack: LocalExchange) -> tuple[Api, str]:
    answer = Api(stack.url, stack.admin_key).call("POST", "/register", {"name": "broker"})
    assert answer.status == 201, answer
    return Api(stack.url, str(answer.body["api_key"])), str(answer.body["broker_id"])


def kill_under_load(cluster: LocalKafkaCluster, clients: LoggingClients, number: int) -> None:
    killed_s = time.monotonic()
    cluster.nodes[number].kill()
    eventually("orders resume", lambda: clients.matched_since(killed_s) > 50, RESUME_S_MAX)


def start_again(cluster: LocalKafkaCluster, clients: LoggingClients, number: int) -> None:
    cluster.nodes[number].start()
    eventually("in sync again", lambda: in_sync(cluster), IN_SYNC_S)
    in_sync_s = time.monotonic()
    eventually("orders resume", lambda: clients.matched_since(in_sync_s) > 50, RESUME_S_MAX)


@pytest.mark.timeout(300)
def test_exchange_with_two_brokers_killed_in_turn_loses_and_doubles_nothing(
    cluster: LocalKafkaCluster, stack: LocalExchange
) -> None:
    assert stack.durability == "replicated"
    assert {len(p.replicas) for topic in topics(cluster) for p in topic.partitions} == {NODES}
    pids = {name: child.pid for name, child in stack.services.items()}
    clients = LoggingClients(*register(stack), SYMBOLS)
    with clients.placing():
        eventually("orders", lambda: clients.matched_since(0.0) > 50, RESUME_S_MAX)
        first = leader(cluster)
        kill_under_load(cluster, clients, first)
        start_again(cluster, clients, first)
        second = leader(cluster)
        assert second != first
        kill_under_load(cluster, clients, second)
        # A replacement: same number and address, with an empty disk.
        shutil.rmtree(cluster.nodes[second].data_dir)
        start_again(cluster, clients, second)

    report = run_audit(stack.operator, clients.lines(), 30.0, Progress())
    assert report.holds, "\n".join(report.lines())
    assert {each.status for each in clients.sent} <= {201, 202, 503, 504}
    assert clients.gap_s_max() < RESUME_S_MAX
    assert {name: child.pid for name, child in stack.services.items()} == pids
    assert all(child.alive for child in stack.services.values())


@pytest.mark.timeout(300)
def test_topics_applied_with_one_broker_down_stay_unchanged(
    cluster: LocalKafkaCluster, stack: LocalExchange
) -> None:
    admin = TopicsAdmin(KafkaAccess(cluster.bootstrap_servers), stack.topic_prefix)
    before = admin.verify()
    assert before.durability == "replicated"
    with one_broker_down(cluster, leader(cluster)):
        assert admin.apply(before.partitions, None) == before
        assert admin.verify() == before


@pytest.mark.timeout(300)
def test_services_started_with_one_broker_down_accept_orders(
    cluster: LocalKafkaCluster, stack: LocalExchange
) -> None:
    broker, _ = register(stack)
    with one_broker_down(cluster, leader(cluster)):
        for name in stack.services:
            stack.services[name].kill()
            stack.start(name)
        for name in stack.services:
            stack.wait_ready(name)
        eventually("orders", lambda: broker.place("bid", "ZZZ", 1, 100).status == 201, RESUME_S_MAX)
