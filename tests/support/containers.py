"""Kafka and PostgreSQL in containers of testcontainers, for tests that need no local server."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from msgspec import Struct
from psycopg import sql
from testcontainers.community.postgres import PostgresContainer

from exchange_testing import ContainersError, KafkaContainer
from exchange_testing.engine import engine, has_image, settle_reaper
from exchange_testing.images import HOW_TO_GET, KAFKA, POSTGRES
from infra.ports import LOOPBACK, free_port

# PostgreSQL replays its log after a kill; a busy machine takes long.
BACK_WITHIN_S = 60.0


def missing() -> str:
    """Return what this machine lacks for containers; empty when nothing."""
    try:
        with engine() as client:
            wanted = [image.choose(client, None) for image in (KAFKA, POSTGRES)]
            absent = [name for name in wanted if not has_image(client, name)]
    except ContainersError as error:
        return str(error)
    return f"no image {', '.join(absent)}; {HOW_TO_GET}" if absent else ""


class ContainerPostgres:
    """PostgreSQL that can be killed and started again on the same port."""

    def __init__(self, container: PostgresContainer) -> None:
        self._container = container
        self.url = container.get_connection_url(host=LOOPBACK)

    def create_database(self, name: str) -> str:
        """Create the database unless it exists, and return its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(known, [name]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"{self.url.rsplit('/', 1)[0]}/{name}"

    def kill(self) -> None:
        """Kill every process in the container (SIGKILL); its disk stays."""
        self._container.get_wrapped_container().kill()

    def start(self) -> None:
        """Start again after `kill`, and wait until it accepts connections."""
        self._container.get_wrapped_container().start()
        deadline = time.monotonic() + BACK_WITHIN_S
        while True:
            try:
                with psycopg.connect(self.url, connect_timeout=5):
                    return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


class Containers(Struct, frozen=True):
    """Both servers."""

    kafka: KafkaContainer
    postgres: ContainerPostgres


@contextmanager
def running_containers() -> Iterator[Containers]:
    """Run both servers; remove them at the end of the context."""
    with engine() as client:
        settle_reaper(client)
        kafka_image, postgres_image = (image.choose(client, None) for image in (KAFKA, POSTGRES))
    password = secrets.token_urlsafe(24)
    postgres = PostgresContainer(
        postgres_image, username="exchange", password=password, dbname="exchange", driver=None
    )
    # A fixed port: one chosen by the engine would change after a kill.
    postgres.with_bind_ports(postgres.port, free_port())
    with KafkaContainer(kafka_image) as kafka, postgres:
        yield Containers(kafka, ContainerPostgres(postgres))
