"""A reader's start while PostgreSQL fails, while the sink writes, and with a trimmed log."""

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from conformance.api import eventually
from schemas.topics import EXECUTIONS
from services.runtime.errors import BrokenLogError
from services.sink.migrate import migrate
from tests.integration.test_reader_start import started
from tests.integration.test_sink_loop import (
    HandwrittenLog,
    running_sink,
)
from tests.support.fault_proxy import FaultProxy
from tests.support.reader_flow import Flow
from tests.support.servers import DatabaseServer, KafkaServer
from tests.support.view_comparison import open_orders, state

# Cuts the connection after the queries for positions, within the rows of open orders.
AMID_THE_ROWS_BYTES = 20_000
SILENCE_S_MAX = 0.5
# Far above the expected bound, because the machine may be busy, and far below a test's time-out.
SOON_S = 20.0
MISSED = "begin at record 2 and PostgreSQL does not return them"


@pytest.fixture
def log(kafka: KafkaServer) -> HandwrittenLog:
    return HandwrittenLog(kafka.bootstrap_servers)


@pytest.fixture
def url(postgres: DatabaseServer) -> str:
    database_url = postgres.create_database(f"start_{uuid.uuid4().hex[:12]}")
    migrate(database_url)
    return database_url


def store_flow(log: HandwrittenLog, url: str) -> None:
    for partition in range(2):
        log.append(Flow(partition, partition).batch(1_000))
    with running_sink(log.source(), url):
        eventually("the sink stores the flow", lambda: log.stored_up_to(url))


FAULTS: dict[str, tuple[Callable[[FaultProxy], None], str]] = {
    "cut": (lambda proxy: proxy.cut(), "does not return them"),
    "stalled": (lambda proxy: proxy.stall(), "was silent for 0.5 s"),
    "cut_amid_the_rows": (
        lambda proxy: proxy.cut_after(AMID_THE_ROWS_BYTES),
        "does not return them",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_reader_behind_a_failed_network_starts_from_the_log_alone(
    log: HandwrittenLog, url: str, fault: str
) -> None:
    store_flow(log, url)
    with FaultProxy(urlsplit(url).port or 0) as proxy:
        through = url.replace(f":{urlsplit(url).port}/", f":{proxy.port}/")
        assert started(log, through).detail == "from PostgreSQL"
        fail, reason = FAULTS[fault]
        fail(proxy)
        start = time.monotonic()
        found = started(log, through, silence_s_max=SILENCE_S_MAX)
        assert time.monotonic() - start < SOON_S
        proxy.heal()
    assert reason in found.detail
    assert state(found.views) == state(log.views)


@pytest.mark.parametrize("table", ["log_positions", "balances"])
def test_reader_with_a_silent_server_starts_from_the_log_alone(
    log: HandwrittenLog, url: str, table: str
) -> None:
    store_flow(log, url)
    with closing(psycopg.connect(url)) as locker:
        locker.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        found = started(log, url, silence_s_max=SILENCE_S_MAX)
    assert found.detail == "from the executions topic alone: PostgreSQL was silent for 0.5 s"
    assert state(found.views) == state(log.views)


def test_views_loaded_while_the_sink_writes_are_consistent(log: HandwrittenLog, url: str) -> None:
    flows = [Flow(0, 8), Flow(1, 9)]
    for flow in flows:
        log.append(flow.batch(40))
    with running_sink(log.source(), url):
        eventually("the sink has begun", lambda: log.stored_up_to(url))
        for _ in range(12):
            for _ in range(15):
                for flow in flows:
                    log.append(flow.batch(40))
            # An inconsistent load would contradict the later records and end the reader.
            found = started(log, url)
            assert found.detail == "from PostgreSQL"
            assert found.views.next_commands() == log.views.next_commands()
            assert open_orders(found.views) == open_orders(log.views)


def trim(log: HandwrittenLog, before: int) -> None:
    """Delete the records below offset `before` from partition 0 of the executions."""
    admin = AdminClient({"bootstrap.servers": log.bootstrap})
    where = TopicPartition(EXECUTIONS.full_name(log.prefix), 0, before)
    admin.delete_records([where])[where].result()


def test_trimmed_log_suffices_if_postgres_has_the_missing_part(
    log: HandwrittenLog, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store_flow(log, url)
    # Only the claim and the one record after it are stored.
    trim(log, 2)
    assert started(log, url).detail == "from PostgreSQL"
    with FaultProxy(urlsplit(url).port or 0) as proxy:

        def heal_once_missed() -> None:
            eventually("the reader misses PostgreSQL", lambda: MISSED in caplog.text)
            proxy.heal()

        proxy.cut()
        healing = threading.Thread(target=heal_once_missed)
        healing.start()
        through = url.replace(f":{urlsplit(url).port}/", f":{proxy.port}/")
        # The log alone is not enough: the reader waits instead of ending.
        found = started(log, through)
        healing.join()
    assert found.detail == "from PostgreSQL"
    assert found.views.next_commands() == log.views.next_commands()
    assert open_orders(found.views) == open_orders(log.views)
    assert MISSED in caplog.text


def test_reader_whose_user_is_refused_starts_from_the_log_alone(
    log: HandwrittenLog, url: str
) -> None:
    store_flow(log, url)
    found = started(log, url.replace(f":{urlsplit(url).password}@", ":wrong@"))
    assert "password authentication failed" in found.detail
    assert state(found.views) == state(log.views)


def test_reader_without_rights_starts_from_the_log_alone(log: HandwrittenLog, url: str) -> None:
    store_flow(log, url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    parts = urlsplit(url)
    own = f"postgresql://stranger:stranger@{parts.hostname}:{parts.port}{parts.path}"
    found = started(log, own)
    assert "permission denied" in found.detail
    assert state(found.views) == state(log.views)


def test_reader_with_a_database_of_another_encoding_starts_from_the_log_alone(
    log: HandwrittenLog, url: str
) -> None:
    store_flow(log, url)
    name = f"latin_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'".encode()
        )
    found = started(log, f"{url.rsplit('/', 1)[0]}/{name}")
    assert "the encoding LATIN1" in found.detail
    assert state(found.views) == state(log.views)


def test_log_trimmed_beyond_the_database_is_refused(log: HandwrittenLog, url: str) -> None:
    flow = Flow(0, 3)
    log.append(flow.batch(50))
    with running_sink(log.source(), url):
        eventually("the sink stores the first record", lambda: log.stored_up_to(url))
    for _ in range(3):
        log.append(flow.batch(50))
    trim(log, 3)
    with pytest.raises(BrokenLogError, match="has stored partition 0 up to record 2"):
        started(log, url)
