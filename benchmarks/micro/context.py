"""Context of a benchmark: its scale, and real servers that start when first needed."""

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.micro.harness import Scale
from infra.broker import LocalKafka
from infra.cluster import LocalKafkaCluster
from infra.postgres import LocalPostgres


class Servers:
    """Servers below one folder; all end with `ending`."""

    def __init__(self, folder: Path, ending: ExitStack, show: Callable[[str], None]) -> None:
        self.folder = folder
        self._ending = ending
        self._show = show
        self._kafka: LocalKafka | None = None
        self._postgres: LocalPostgres | None = None
        self._names = itertools.count(1)

    def kafka(self) -> str:
        """Bootstrap address of one broker."""
        if self._kafka is None:
            self._show("starting Kafka")
            kafka = LocalKafka(self.folder / "kafka", profile="sustained")
            self._kafka = self._ending.enter_context(kafka)
        return self._kafka.bootstrap_servers

    def database(self) -> str:
        """URL of a new and empty database."""
        if self._postgres is None:
            self._show("starting PostgreSQL")
            self._postgres = self._ending.enter_context(LocalPostgres(self.folder / "postgres"))
        return self._postgres.create_database(self.name("bench"))

    def name(self, stem: str) -> str:
        """A unique name for a database, a folder or a prefix of topics."""
        return f"{stem}{next(self._names)}"


class Context:
    """The context of one benchmark. `ending` closes what it starts, directly after it.

    `notes` name figures that could not be measured; `failed` benchmarks whose work was not done.
    """

    def __init__(
        self, scale: Scale, servers: Servers, ending: ExitStack, show: Callable[[str], None]
    ) -> None:
        self.scale = scale
        self.servers = servers
        self.show = show
        self.ending = ending
        self.notes: list[str] = []
        self.failed: list[str] = []

    def cluster(self) -> str:
        """Bootstrap address of three brokers that run for this benchmark only."""
        self.show("starting three brokers")
        folder = self.servers.folder / self.servers.name("cluster")
        cluster = LocalKafkaCluster(folder, profile="sustained")
        return self.ending.enter_context(cluster).bootstrap_servers
