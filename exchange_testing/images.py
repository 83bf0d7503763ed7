"""Chooses the images of containers: by an argument, a variable, or what the engine has."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from testcontainers.core.docker_client import DockerClient

from exchange_testing.engine import has_image

HOW_TO_GET = "`make images` in a clone of the exchange makes them all"


@dataclass(frozen=True)
class Image:
    """`variable` names another one; else the first of `names` that the engine has, or the last."""

    variable: str
    names: tuple[str, ...]

    def choose(
        self, client: DockerClient, given: str | None, environ: Mapping[str, str] = os.environ
    ) -> str:
        """The name to start a container from; it may have to be pulled."""
        named = given or environ.get(self.variable)
        if named:
            return named
        here = (name for name in self.names if has_image(client, name))
        return next(here, self.names[-1])


KAFKA = Image("TEST_KAFKA_IMAGE", ("exchange-local/kafka:4.4.0", "apache/kafka:4.4.0"))
POSTGRES = Image("TEST_POSTGRES_IMAGE", ("exchange-local/postgres:15", "postgres:15"))
EXCHANGE = Image("TEST_EXCHANGE_IMAGE", ("exchange:local",))
