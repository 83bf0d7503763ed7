"""Sink and reader as processes, from records in the log to API answers, and their termination."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest

from conformance.api import eventually
from infra.ports import free_port
from schemas.brokers import Broker, key_hash
from services.runtime.readiness import DIRECT
from tests.integration.test_sink_loop import (
    HandwrittenLog,
    check_stored,
)
from tests.support.reader_flow import Flow
from tests.support.reader_outcomes import BOB, T0, oid, sweep
from tests.support.servers import DatabaseServer, KafkaServer

KEY = "a key that only Bob has"


@pytest.fixture
def log(kafka: KafkaServer) -> HandwrittenLog:
    return HandwrittenLog(kafka.bootstrap_servers)


@pytest.fixture
def environ(log: HandwrittenLog, postgres: DatabaseServer) -> dict[str, str]:
    url = postgres.create_database(f"process_{uuid.uuid4().hex[:12]}")
    return dict(os.environ) | {
        "EXCHANGE_KAFKA": log.bootstrap,
        "EXCHANGE_DATABASE_URL": url,
        "EXCHANGE_TOPIC_PREFIX": log.prefix,
        "EXCHANGE_PORT": str(free_port()),
        "EXCHANGE_METRICS_PORT": str(free_port()),
    }


def finished(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def waits_for_a_lock(url: str) -> bool:
    """True while a connection to the database waits for a lock."""
    with psycopg.connect(url) as connection:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        return connection.execute(f"{waiting} AND wait_event_type = 'Lock'").fetchone() is not None


@contextmanager
def service(environ: dict[str, str], name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running service; it must exit with 0 soon after SIGTERM."""
    process = subprocess.Popen([sys.executable, "-m", name], env=environ)
    try:
        yield process
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert time.monotonic() - start < 2.0
    finally:
        process.kill()
        process.wait()


def get(port: str, path: str, key: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    request.add_header("Authorization", f"Bearer {key}")
    try:
        with DIRECT.open(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
    except OSError:
        return 0, None


def test_records_of_the_log_become_rows_and_api_answers(
    log: HandwrittenLog, environ: dict[str, str]
) -> None:
    log.append_broker(Broker(BOB, "Bob", key_hash(KEY), T0))
    log.append(sweep())
    url, port = environ["EXCHANGE_DATABASE_URL"], environ["EXCHANGE_PORT"]
    assert finished(environ, "services.sink", "--migrate").returncode == 0
    # Both run at once, and the reader would take the sink's port of metrics.
    reader = environ | {"EXCHANGE_METRICS_PORT": "0"}
    with service(environ, "services.sink"), service(reader, "services.reader"):
        eventually("the sink stores the sweep", lambda: log.stored_up_to(url))
        eventually("the reader is ready", lambda: get(port, "/readyz")[0] == 200)
        metrics = environ["EXCHANGE_METRICS_PORT"]
        eventually("the sink is ready", lambda: get(metrics, "/readyz")[0] == 200)
        status, order = get(port, f"/orders/{oid(2)}", KEY)
        assert (status, order["remaining_quantity"], len(order["trades"])) == (200, 100, 1)
        assert get(port, f"/orders/{oid(1)}", KEY)[0] == 404
        assert get(port, "/stocks/PETR4/price", KEY)[1]["last_price"] == 1010
        assert get(port, "/stocks/PETR4/book", KEY)[1]["sequence"] == 8
        assert get(port, "/balance", KEY)[1]["broker_name"] == "Bob"
        assert get(port, "/balance")[0] == 401
    check_stored(log, url, 6)


def test_restarted_reader_begins_from_postgres(
    log: HandwrittenLog, environ: dict[str, str]
) -> None:
    log.append_broker(Broker(BOB, "Bob", key_hash(KEY), T0))
    log.append(sweep())
    url, port = environ["EXCHANGE_DATABASE_URL"], environ["EXCHANGE_PORT"]
    assert finished(environ, "services.sink", "--migrate").returncode == 0
    with service(environ, "services.sink"):
        eventually("the sink stores the sweep", lambda: log.stored_up_to(url))
    with service(environ, "services.reader"):
        eventually("the reader is ready", lambda: get(port, "/readyz")[0] == 200)
        views = get(port, "/readyz")[1]["checks"]["views"]
        assert views == {"ok": True, "detail": "from PostgreSQL"}
        status, order = get(port, f"/orders/{oid(2)}", KEY)
        assert (status, order["remaining_quantity"], len(order["trades"])) == (200, 100, 1)
        assert get(port, "/stocks/PETR4/book", KEY)[1]["sequence"] == 8


def test_reader_waiting_for_postgres_reports_it_and_stops_at_once(
    log: HandwrittenLog, environ: dict[str, str]
) -> None:
    log.append(sweep())
    url, port = environ["EXCHANGE_DATABASE_URL"], environ["EXCHANGE_PORT"]
    assert finished(environ, "services.sink", "--migrate").returncode == 0
    with service(environ, "services.sink"):
        eventually("the sink stores the sweep", lambda: log.stored_up_to(url))
    with psycopg.connect(url) as locker:
        locker.execute("LOCK TABLE trades IN ACCESS EXCLUSIVE MODE")
        with service(environ, "services.reader"):
            eventually("the reader answers", lambda: get(port, "/readyz")[0] == 503)
            readiness = get(port, "/readyz")[1]
            assert readiness["checks"]["views"]["ok"] is False
            assert "loading from PostgreSQL" in readiness["checks"]["views"]["detail"]
            # Before that the reader may be asking Kafka, and would stop after Kafka's answer.
            eventually("the reader waits for PostgreSQL", partial(waits_for_a_lock, url))
            status, problem = get(port, "/balance", KEY)
            assert (status, problem["code"]) == (503, "not_accepted")


def test_killed_sink_continues_without_loss_or_repeat(
    log: HandwrittenLog, environ: dict[str, str]
) -> None:
    url = environ["EXCHANGE_DATABASE_URL"]
    assert finished(environ, "services.sink", "--migrate").returncode == 0
    flow = Flow(0, 6)
    for _ in range(3):
        victim = subprocess.Popen([sys.executable, "-m", "services.sink"], env=environ)
        try:
            before = log.stored_commands(url)
            for _ in range(30):
                log.append(flow.batch(100))
            eventually("the sink stores", partial(log.has_more_than, before, url))
        finally:
            victim.kill()
            victim.wait()
    with service(environ, "services.sink"):
        log.append(flow.batch(100))
        eventually("the sink stores the rest", lambda: log.stored_up_to(url))
    check_stored(log, url, log.views.orders_in_memory())


def test_sink_without_tables_fails_with_one_line(environ: dict[str, str]) -> None:
    ended = finished(environ, "services.sink")
    assert ended.returncode == 7
    assert "run: python -m services.sink --migrate" in ended.stderr


def test_sink_of_another_log_fails_with_one_line(
    log: HandwrittenLog, environ: dict[str, str]
) -> None:
    assert finished(environ, "services.sink", "--migrate").returncode == 0
    with service(environ, "services.sink"):
        metrics = environ["EXCHANGE_METRICS_PORT"]
        eventually("the sink is ready", lambda: get(metrics, "/readyz")[0] == 200)
    other = HandwrittenLog(log.bootstrap)
    ended = finished(environ | {"EXCHANGE_TOPIC_PREFIX": other.prefix}, "services.sink")
    assert ended.returncode == 8
    assert "another log" in ended.stderr


@pytest.mark.parametrize("name", ["services.sink", "services.reader"])
def test_help_of_a_service_describes_it(environ: dict[str, str], name: str) -> None:
    helped = finished(environ, name, "--help")
    assert helped.returncode == 0
    assert "EXCHANGE_DATABASE_URL" in helped.stdout
