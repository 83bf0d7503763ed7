"""Choice of servers and images for tests, without a Docker engine."""

from collections.abc import Collection
from pathlib import Path
from typing import cast

import docker.errors  # type: ignore[import-untyped]  # ships no annotations
import pytest
from testcontainers.core.docker_client import DockerClient

from exchange_testing.images import KAFKA, Image
from infra.kafka_jars import release_dir
from tests.support.servers import Choice, choose

IMAGE = Image("TEST_SOME_IMAGE", ("ours:1", "official:1"))


class FakeEngine:
    """A Docker client that has the given images, with the few attributes that the choice reads."""

    def __init__(self, held: Collection[str]) -> None:
        self.client = self.images = self
        self._held = held

    def get(self, name: str) -> None:
        if name not in self._held:
            raise docker.errors.ImageNotFound(name)


def client(*held: str) -> DockerClient:
    return cast(DockerClient, FakeEngine(held))


@pytest.mark.parametrize(
    ("wanted", "lacking", "containers"),
    [("auto", "", True), ("auto", "no engine", False), ("containers", "", True)],
)
def test_servers_run_in_containers_when_nothing_is_missing(
    wanted: str, lacking: str, containers: bool
) -> None:
    assert choose(wanted, lambda: lacking).containers == containers


def test_local_servers_are_chosen_without_contacting_an_engine() -> None:
    def fail_if_called() -> str:
        raise AssertionError("called")

    assert choose("local", fail_if_called) == Choice(False, "TEST_SERVERS=local")


@pytest.mark.parametrize(
    ("wanted", "message"), [("containers", "no image kafka"), ("docker", "write containers, local")]
)
def test_unavailable_or_unknown_servers_are_a_usage_error(wanted: str, message: str) -> None:
    with pytest.raises(pytest.UsageError, match=message):
        choose(wanted, lambda: "no image kafka")


def test_choice_as_text_has_the_servers_and_the_reason() -> None:
    message = str(choose("auto", lambda: "no image kafka"))
    assert message == "tests/integration: Kafka and PostgreSQL local processes (no image kafka)"


@pytest.mark.parametrize(
    ("given", "environ", "held", "chosen"),
    [
        ("mine", {"TEST_SOME_IMAGE": "theirs"}, (), "mine"),
        (None, {"TEST_SOME_IMAGE": "theirs"}, ("ours:1",), "theirs"),
        (None, {}, ("ours:1", "official:1"), "ours:1"),
        (None, {}, ("official:1",), "official:1"),
        (None, {}, (), "official:1"),
    ],
)
def test_image_is_chosen_by_argument_then_environment_then_availability(
    given: str | None, environ: dict[str, str], held: tuple[str, ...], chosen: str
) -> None:
    assert IMAGE.choose(client(*held), given, environ) == chosen


def test_kafka_image_has_the_version_of_the_local_server() -> None:
    version = release_dir(Path()).name.split("-")[1]
    assert {name.rsplit(":")[1] for name in KAFKA.names} == {version}
