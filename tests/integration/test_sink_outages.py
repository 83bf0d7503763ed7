"""The sink waits while PostgreSQL is unreachable, silent or read-only, at its start and later."""

import time
import uuid
from pathlib import Path

import psycopg
import pytest

from conformance.api import eventually
from infra.postgres import LocalPostgres
from services.runtime.postgres.connection import CONNECT_TIMEOUT_S
from services.sink.loop import RETRY_S
from services.sink.migrate import migrate
from tests.integration.test_sink_loop import (
    HandwrittenLog,
    check_stored,
    running_sink,
)
from tests.support.reader_outcomes import sweep
from tests.support.servers import DatabaseServer, KafkaServer


@pytest.fixture
def log(kafka: KafkaServer) -> HandwrittenLog:
    return HandwrittenLog(kafka.bootstrap_servers)


@pytest.fixture
def url(postgres: DatabaseServer) -> str:
    database_url = postgres.create_database(f"sink_{uuid.uuid4().hex[:12]}")
    migrate(database_url)
    return database_url


def test_sink_started_while_postgres_is_unreachable_or_silent_waits_for_it(
    log: HandwrittenLog, tmp_path: Path
) -> None:
    postgres = LocalPostgres(tmp_path)
    postgres.start()
    migrate(postgres.url)
    try:
        postgres.kill()
        with running_sink(log.source(), postgres.url) as sink:
            log.append(sweep())
            time.sleep(3 * RETRY_S)
            assert sink.failure is None
            postgres.start()
            eventually("the sink stores the sweep", lambda: log.stored_up_to(postgres.url))
        postgres.pause()
        with running_sink(log.source(), postgres.url) as sink:
            # Longer than connecting may take.
            time.sleep(CONNECT_TIMEOUT_S + 3 * RETRY_S)
            assert sink.failure is None
            postgres.resume()
            eventually("the sink is connected", sink.is_connected)
    finally:
        postgres.kill()


def test_sink_waits_while_the_database_is_read_only(log: HandwrittenLog, url: str) -> None:
    with running_sink(log.source(), url) as sink:
        eventually("the sink is connected", sink.is_connected)
        set_read_only(url, "on")
        log.append(sweep())
        eventually("the sink gives the connection up", lambda: not sink.is_connected())
        time.sleep(3 * RETRY_S)
        assert sink.failure is None
        assert not log.stored_up_to(url)
        set_read_only(url, "off")
        eventually("the sink stores the sweep", lambda: log.stored_up_to(url))
    check_stored(log, url, 6)


def set_read_only(url: str, value: str) -> None:
    """Change the default of new sessions, and end those that there are."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        name = connection.info.dbname
        connection.execute(
            f"ALTER DATABASE {name} SET default_transaction_read_only = {value}".encode()
        )
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
