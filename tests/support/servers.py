"""Choice of Kafka and PostgreSQL for `tests/integration`: containers or local processes.

TEST_SERVERS chooses: `containers` requires them, `local` never uses them, `auto` uses them when a
Docker engine answers and has the images. A test run pulls and builds no image.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from msgspec import Struct

VARIABLE = "TEST_SERVERS"


class KafkaServer(Protocol):
    """A broker: LocalKafka, or one in a container."""

    @property
    def bootstrap_servers(self) -> str: ...


class DatabaseServer(Protocol):
    """PostgreSQL: LocalPostgres, or one in a container."""

    @property
    def url(self) -> str: ...
    def create_database(self, name: str) -> str:
        """Create the database unless it exists, and return its URL."""

    def start(self) -> None: ...
    def kill(self) -> None:
        """SIGKILL; `start` restarts it on the same port with the same data."""


class Choice(Struct, frozen=True):
    """The choice and its reason."""

    containers: bool
    why: str

    def __str__(self) -> str:
        where = "in containers" if self.containers else "local processes"
        return f"tests/integration: Kafka and PostgreSQL {where} ({self.why})"


def choose(wanted: str, lacking: Callable[[], str]) -> Choice:
    """Choose by TEST_SERVERS; `lacking` returns what containers lack, empty when nothing."""
    if wanted == "local":
        return Choice(False, f"{VARIABLE}=local")
    if wanted not in ("auto", "containers"):
        raise pytest.UsageError(f"{VARIABLE}={wanted}: write containers, local or auto")
    missing = lacking()
    if wanted == "containers":
        if missing:
            raise pytest.UsageError(f"{VARIABLE}=containers: {missing}")
        return Choice(True, f"{VARIABLE}=containers")
    return Choice(False, missing) if missing else Choice(True, "a Docker engine has the images")


@functools.cache
def server_choice() -> Choice:
    """This run's choice."""
    return choose(_wanted(), _lacking)


def containers_required() -> bool:
    """Return whether containers are required; then their images are built from this tree."""
    return _wanted() == "containers"


def _wanted() -> str:
    return os.environ.get(VARIABLE) or "auto"


def _lacking() -> str:
    # Most runs have no engine; without these files, skip the slow import of its client.
    places = (Path("/var/run/docker.sock"), Path.home() / ".docker" / "config.json")
    if "DOCKER_HOST" not in os.environ and not any(place.exists() for place in places):
        return "no Docker engine"
    from tests.support.containers import missing  # noqa: PLC0415 - see above

    return missing()
