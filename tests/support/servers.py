"""Where `tests/integration` finds Kafka and PostgreSQL: in containers, or as local processes.

TEST_SERVERS says so: `containers` insists, `local` does not ask, `auto` takes containers when a
Docker engine answers and has the images. Nothing is pulled or built by a test run.
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
        """kill -9; `start` brings it back on the same port with the same data."""


class Choice(Struct, frozen=True):
    """What was chosen, and why, in a few words."""

    containers: bool
    why: str

    def __str__(self) -> str:
        where = "in containers" if self.containers else "local processes"
        return f"tests/integration: Kafka and PostgreSQL {where} ({self.why})"


def choose(wanted: str, lacking: Callable[[], str]) -> Choice:
    """`lacking` tells what containers would need and do not have; empty: nothing."""
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
def chosen() -> Choice:
    """This run's choice."""
    return choose(_wanted(), _lacking)


def insisted() -> bool:
    """Whether this run is about containers: their images are as this tree makes them."""
    return _wanted() == "containers"


def _wanted() -> str:
    return os.environ.get(VARIABLE) or "auto"


def _lacking() -> str:
    # Most runs have no engine: they need not load the client for it to learn that.
    places = (Path("/var/run/docker.sock"), Path.home() / ".docker" / "config.json")
    if "DOCKER_HOST" not in os.environ and not any(place.exists() for place in places):
        return "no Docker engine"
    from tests.support.containers import missing  # noqa: PLC0415 - see above

    return missing()
