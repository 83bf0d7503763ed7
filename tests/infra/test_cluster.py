"""A local cluster of three brokers survives the loss of one, and keeps its identity on restart."""

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

from conformance.api import eventually
from infra.cluster import LocalKafkaCluster
from infra.errors import FolderBusyError, ServerFailedError
from infra.process_table import is_running

TOPIC = "records"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafkaCluster]:
    brokers = LocalKafkaCluster(tmp_path_factory.mktemp("brokers") / "cluster")
    yield brokers
    brokers.kill()


@pytest.fixture
def running(cluster: LocalKafkaCluster) -> LocalKafkaCluster:
    """The cluster with all three brokers running, whatever the previous test did."""
    cluster.start()
    return cluster


def admin(cluster: LocalKafkaCluster) -> AdminClient:
    return AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})


def cluster_id(cluster: LocalKafkaCluster) -> str:
    # A local variable keeps the client alive until its future is resolved.
    client = admin(cluster)
    return str(client.describe_cluster(request_timeout=20).result().cluster_id)


def replicas_in_sync(cluster: LocalKafkaCluster) -> set[int]:
    client = admin(cluster)
    try:
        # A short time-out: the client may send the request to the broker that has just died.
        [asked] = client.describe_topics(TopicCollection([TOPIC]), request_timeout=2).values()
        return {node.id for node in asked.result().partitions[0].isr}
    except KafkaException:
        return set()


def test_cluster_when_a_node_is_killed_continues_and_accepts_it_again(
    running: LocalKafkaCluster,
) -> None:
    client = admin(running)
    client.create_topics([NewTopic(TOPIC, 1)])[TOPIC].result(20)
    eventually("replicated", lambda: replicas_in_sync(running) == {1, 2, 3})

    running.nodes[2].kill()

    eventually("two left", lambda: replicas_in_sync(running) == {1, 3})
    running.nodes[2].start()
    eventually("three again", lambda: replicas_in_sync(running) == {1, 2, 3})


def test_cluster_when_stopped_leaves_no_process_and_keeps_its_identity(
    running: LocalKafkaCluster,
) -> None:
    addresses, named = running.bootstrap_servers, cluster_id(running)
    pids = [node.process.pid for node in running.nodes.values()]

    running.stop()

    assert not any(is_running(pid) for pid in pids)
    with LocalKafkaCluster(running.data_dir) as next_run:
        assert next_run.bootstrap_servers == addresses
        assert cluster_id(next_run) == named


def test_cluster_when_its_folder_is_owned_refuses_and_harms_nothing(
    running: LocalKafkaCluster,
) -> None:
    with pytest.raises(FolderBusyError, match="another data directory"):
        LocalKafkaCluster(running.data_dir).start()

    assert all(node.alive for node in running.nodes.values())


def test_cluster_before_its_first_start_has_no_address(cluster: LocalKafkaCluster) -> None:
    with pytest.raises(ServerFailedError, match="no ports"):
        _ = LocalKafkaCluster(cluster.data_dir.parent / "never").bootstrap_servers
