"""Which servers and images are chosen, without an engine."""

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
    """Has these images, and looks like testcontainers' client as far as they are concerned."""

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
def test_servers_are_in_containers_when_nothing_is_lacking(
    wanted: str, lacking: str, containers: bool
) -> None:
    assert choose(wanted, lambda: lacking).containers == containers


def test_servers_when_local_ones_are_wanted_ask_no_engine() -> None:
    def asked() -> str:
        raise AssertionError("asked")

    assert choose("local", asked) == Choice(False, "TEST_SERVERS=local")


@pytest.mark.parametrize(
    ("wanted", "said"), [("containers", "no image kafka"), ("docker", "write containers, local")]
)
def test_servers_that_cannot_be_had_as_asked_are_a_usage_error(wanted: str, said: str) -> None:
    with pytest.raises(pytest.UsageError, match=said):
        choose(wanted, lambda: "no image kafka")


def test_servers_chosen_say_where_and_why() -> None:
    said = str(choose("auto", lambda: "no image kafka"))
    assert said == "tests/integration: Kafka and PostgreSQL local processes (no image kafka)"


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
def test_image_is_the_given_or_named_one_else_one_that_is_here(
    given: str | None, environ: dict[str, str], held: tuple[str, ...], chosen: str
) -> None:
    assert IMAGE.choose(client(*held), given, environ) == chosen


def test_kafka_image_is_of_the_version_that_runs_locally() -> None:
    version = release_dir(Path()).name.split("-")[1]
    assert {name.rsplit(":")[1] for name in KAFKA.names} == {version}
