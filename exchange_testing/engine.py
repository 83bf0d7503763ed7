"""The Docker engine: whether it answers, and which images it has, with a short time limit."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors  # type: ignore[import-untyped]  # ships no annotations
from testcontainers.core.config import testcontainers_config
from testcontainers.core.docker_client import DockerClient

from exchange_testing.errors import NoEngineError

# One that is there answers within milliseconds, also on a busy machine.
ANSWER_TIMEOUT_S = 10


@contextmanager
def engine() -> Iterator[DockerClient]:
    """The engine that testcontainers would use. Raises NoEngineError."""
    try:
        client = DockerClient(timeout=ANSWER_TIMEOUT_S)
    except docker.errors.DockerException as error:
        raise NoEngineError(
            f"no Docker engine answers ({error}). Start it, or name one with DOCKER_HOST; "
            "on a plain Debian machine: sudo bash infra/docker.sh start"
        ) from error
    try:
        yield client
    finally:
        client.client.close()


def has_image(client: DockerClient, name: str) -> bool:
    """True if the engine has the image; no registry is contacted."""
    try:
        client.client.images.get(name)
    except docker.errors.ImageNotFound:
        return False
    return True


def settle_reaper(client: DockerClient) -> None:
    """Do without testcontainers' reaper where its image is not: it would have to be pulled.

    The reaper removes what a killed test run leaves. Everything else removes its own containers.
    """
    if "TESTCONTAINERS_RYUK_DISABLED" in os.environ:
        return
    if not has_image(client, testcontainers_config.ryuk_image):
        testcontainers_config.ryuk_disabled = True
