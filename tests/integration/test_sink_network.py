"""The sink stores everything exactly once through every kind of network fault to PostgreSQL."""

import time
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from conformance.api import eventually
from services.sink.migrate import migrate
from tests.integration.test_sink_loop import (
    HandwrittenLog,
    check_stored,
    running_sink,
)
from tests.support.fault_proxy import FaultProxy
from tests.support.reader_flow import Flow
from tests.support.servers import DatabaseServer, KafkaServer

FAULT_S = 2.0
# Longer than any answer of an available server, even on a busy machine.
SILENCE_S_MAX = 1.5
# More bytes than the start of a session, fewer than the COPY of a batch of outcomes.
MID_TRANSACTION_BYTES = 20_000

FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "cut": lambda proxy: proxy.cut(),
    "stalled": lambda proxy: proxy.stall(),
    "slow": lambda proxy: proxy.delay(0.05),
    "cut_in_a_transaction": lambda proxy: proxy.cut_after(MID_TRANSACTION_BYTES),
}


@pytest.fixture
def log(kafka: KafkaServer) -> HandwrittenLog:
    return HandwrittenLog(kafka.bootstrap_servers)


@pytest.fixture
def url(postgres: DatabaseServer) -> str:
    """URL of a new database, without the proxy."""
    database_url = postgres.create_database(f"network_{uuid.uuid4().hex[:12]}")
    migrate(database_url)
    return database_url


@pytest.fixture
def proxy(url: str) -> Iterator[FaultProxy]:
    port = urlsplit(url).port
    assert port is not None
    with FaultProxy(port) as running:
        yield running


def through(proxy: FaultProxy, url: str) -> str:
    """URL of the same database through the proxy."""
    return url.replace(f":{urlsplit(url).port}/", f":{proxy.port}/")


@pytest.mark.parametrize("fault", FAULTS)
def test_sink_behind_a_failing_network_stores_everything_once(
    log: HandwrittenLog, url: str, proxy: FaultProxy, fault: str
) -> None:
    flow = Flow(0, 11)
    with running_sink(log.source(), through(proxy, url)):
        log.append(flow.batch(300))
        eventually("the sink stores the first run", lambda: log.stored_up_to(url))
        FAULTS[fault](proxy)
        until = time.monotonic() + FAULT_S
        while time.monotonic() < until:
            log.append(flow.batch(300))
            time.sleep(0.1)
        if fault != "slow":
            assert not log.stored_up_to(url)
        proxy.heal()
        log.append(flow.batch(300))
        eventually("the sink catches up", lambda: log.stored_up_to(url))
    check_stored(log, url, log.views.orders_in_memory())


def test_sink_with_a_silent_server_closes_the_connection(
    log: HandwrittenLog, url: str, proxy: FaultProxy
) -> None:
    flow = Flow(0, 12)
    with running_sink(log.source(), through(proxy, url), SILENCE_S_MAX) as sink:
        log.append(flow.batch(300))
        eventually("the sink stores the first run", lambda: log.stored_up_to(url))
        # A busy machine may have made the sink give up a connection before.
        eventually("the sink has one session", lambda: len(sessions(url)) == 1)
        before = sessions(url)
        # An idle connection must not count as a silent one.
        time.sleep(2 * SILENCE_S_MAX)
        assert sessions(url) == before
        proxy.stall()
        log.append(flow.batch(300))
        eventually("the sink gives up", lambda: not sink.is_connected())
        proxy.heal()
        eventually("the sink catches up", lambda: log.stored_up_to(url))
    check_stored(log, url, log.views.orders_in_memory())


def test_sink_on_a_half_open_connection_continues_with_another(
    log: HandwrittenLog, url: str, proxy: FaultProxy
) -> None:
    flow = Flow(0, 13)
    with running_sink(log.source(), through(proxy, url), SILENCE_S_MAX):
        for _ in range(3):
            log.append(flow.batch(300))
            eventually("the sink stores the run", lambda: log.stored_up_to(url))
            proxy.strand()
    check_stored(log, url, log.views.orders_in_memory())


def test_transaction_abandoned_on_a_half_open_connection_blocks_for_a_bounded_time(
    log: HandwrittenLog, url: str, proxy: FaultProxy
) -> None:
    flow = Flow(0, 14)
    with psycopg.connect(url) as blocking:
        blocking.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with running_sink(log.source(), through(proxy, url), SILENCE_S_MAX):
            log.append(flow.batch(300))
            eventually("the sink has moved the position, and waits", lambda: waiting(url) > 0)
            # The server will answer and then wait for a commit that never arrives.
            proxy.strand()
            blocking.rollback()
            eventually("the sink stores the run", lambda: log.stored_up_to(url))
    check_stored(log, url, log.views.orders_in_memory())


def sessions(url: str) -> set[int]:
    """Process ids of the other sessions of this database."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchall()
    return {pid for (pid,) in rows}


def waiting(url: str) -> int:
    """Number of sessions that wait for a lock."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0
