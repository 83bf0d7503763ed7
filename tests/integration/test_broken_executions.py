"""Gaps in the executions: every reading service stops with a one-line error. Records that cannot be
decoded are passed over.

Each service runs as a process, and its exit code is checked: on a log that is already broken and
on one that breaks while the service runs.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from conformance.api import eventually
from infra.ports import free_port
from schemas.codec import encode
from schemas.commands import Tick
from schemas.topics import BOOK, COMMANDS, EXECUTIONS, Topic
from services.runtime.kafka.topics import TopicsAdmin
from services.sink.migrate import migrate
from tests.integration.test_sink_loop import (
    PARTITIONS,
    HandwrittenLog,
)
from tests.integration.test_sink_processes import finished, get
from tests.support.reader_outcomes import ALICE, batch, cancelled, refused, sweep
from tests.support.servers import DatabaseServer, KafkaServer

TOPICS_ERROR = 3
BROKEN_LOG = 6
DOES_NOT_HOLD = 1
ENDS_WITHIN_S = 30.0

READERS = {
    "sink": ("services.sink",),
    "reader": ("services.reader",),
    "gateway": ("services.gateway",),
    "ingest": ("services.ingest",),
    "standby": ("services.matcher", "--standby"),
}
# A matcher reads the executions only once, at its claim: afterwards it is their only writer.
AT_ONCE = READERS | {"matcher": ("services.matcher",)}


@pytest.fixture
def log(kafka: KafkaServer) -> HandwrittenLog:
    """Ten commands, eight with outcomes (of different commands, which only a matcher notices)."""
    written = HandwrittenLog(kafka.bootstrap_servers)
    for _ in range(10):
        written.write(encode(Tick()), COMMANDS)
    written.append(sweep())
    return written


@pytest.fixture
def environ(log: HandwrittenLog, postgres: DatabaseServer) -> dict[str, str]:
    url = postgres.create_database(f"broken_{uuid.uuid4().hex[:12]}")
    migrate(url)
    return dict(os.environ) | {
        "EXCHANGE_KAFKA": log.bootstrap,
        "EXCHANGE_DATABASE_URL": url,
        "EXCHANGE_TOPIC_PREFIX": log.prefix,
        "EXCHANGE_PORT": str(free_port()),
        "EXCHANGE_METRICS_PORT": str(free_port()),
        "EXCHANGE_ADMIN_KEY": "an admin key that is long",
    }


def leave_a_gap(log: HandwrittenLog) -> None:
    """Write the outcome of command 9 without that of command 8."""
    log.write_outcomes(batch(cancelled(6, ALICE, 10, 9), first=9))


def check_refusal(code: int | None, output: str) -> None:
    assert code == BROKEN_LOG, output
    assert "outcomes from command 9 on, expected 8" in output
    assert "Traceback" not in output


@contextmanager
def running(
    name: str, environ: dict[str, str], output: Path
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A service as a process that writes its log to `output`, and the port of its `/readyz`."""
    public = name in {"reader", "gateway", "ingest"}
    with output.open("wb") as file:
        command = [sys.executable, "-m", *AT_ONCE[name]]
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=file)
    try:
        yield process, environ["EXCHANGE_PORT" if public else "EXCHANGE_METRICS_PORT"]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", AT_ONCE)
def test_process_on_executions_with_a_gap_exits_with_6(
    log: HandwrittenLog, environ: dict[str, str], name: str
) -> None:
    leave_a_gap(log)
    ended = finished(environ, *AT_ONCE[name])
    check_refusal(ended.returncode, ended.stderr)


@pytest.mark.parametrize("name", READERS)
def test_process_whose_executions_get_a_gap_exits_with_6(
    log: HandwrittenLog, environ: dict[str, str], tmp_path: Path, name: str
) -> None:
    output = tmp_path / "said"
    public = name in {"reader", "gateway", "ingest"}
    port = environ["EXCHANGE_PORT" if public else "EXCHANGE_METRICS_PORT"]
    with output.open("wb") as file:
        command = [sys.executable, "-m", *READERS[name]]
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=file)
    try:
        eventually(f"{name} is ready", lambda: get(port, "/readyz")[0] == 200)
        leave_a_gap(log)
        code = process.wait(ENDS_WITHIN_S)
    finally:
        process.kill()
        process.wait()
    check_refusal(code, output.read_text())


def test_audit_of_executions_with_a_gap_fails(log: HandwrittenLog, environ: dict[str, str]) -> None:
    leave_a_gap(log)
    ended = finished(environ, "services.cli", "audit", "--wait", "0")
    assert ended.returncode == DOES_NOT_HOLD, ended.stderr
    assert "FAIL every command has one outcome, in order" in ended.stdout
    assert "outcomes from command 9 on, expected 8" in ended.stdout


@pytest.mark.parametrize("name", AT_ONCE)
def test_process_skips_executions_that_cannot_be_decoded(
    log: HandwrittenLog, environ: dict[str, str], tmp_path: Path, name: str
) -> None:
    log.write(b"{}")
    output = tmp_path / "output"
    with running(name, environ, output) as (_, port):
        eventually(f"{name} is ready", lambda: get(port, "/readyz")[0] == 200)
        said = "unreadable execution, passed over"
        eventually(f"{name} logs: {said}", lambda: said in output.read_text())


def store_position(environ: dict[str, str], next_command: int) -> None:
    """Store a position at an execution record that the log does not have."""
    with psycopg.connect(environ["EXCHANGE_DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO log_positions (partition, next_record, epoch, next_command)"
            " VALUES (0, 99, 0, %s)",
            [next_command],
        )


def test_sink_with_a_database_ahead_of_the_executions_stores_the_next_outcome(
    log: HandwrittenLog, environ: dict[str, str], tmp_path: Path
) -> None:
    store_position(environ, 9)
    with running("sink", environ, tmp_path / "output") as (_, port):
        eventually("sink is ready", lambda: get(port, "/readyz")[0] == 200)
        # Those of command 8 come again, in one record with the next.
        log.write_outcomes(batch(cancelled(5, ALICE, 10, 8), refused(), first=8))

        def stored() -> bool:
            with psycopg.connect(environ["EXCHANGE_DATABASE_URL"]) as connection:
                rows = connection.execute("SELECT max(next_command) FROM log_positions")
                return rows.fetchone() == (10,)

        eventually("sink stores the outcome of command 9", stored)


def test_sink_with_a_database_ahead_of_the_commands_exits_with_8(environ: dict[str, str]) -> None:
    store_position(environ, 11)
    ended = finished(environ, "services.sink")
    assert ended.returncode == 8, ended.stderr
    assert "the database has stored partition 0 up to record 99" in ended.stderr


@pytest.mark.parametrize(
    ("name", "topic", "again"),
    [("matcher", BOOK, True), ("gateway", EXECUTIONS, False), ("sink", EXECUTIONS, False)],
)
def test_service_whose_topic_is_deleted_exits_with_3(
    log: HandwrittenLog,
    environ: dict[str, str],
    tmp_path: Path,
    name: str,
    topic: Topic,
    again: bool,
) -> None:
    output = tmp_path / "output"
    with running(name, environ, output) as (process, port):
        eventually(f"{name} is ready", lambda: get(port, "/readyz")[0] == 200)
        delete(log, topic)
        if again:
            TopicsAdmin(log.kafka, log.prefix).apply(PARTITIONS, "process")
        code = process.wait(ENDS_WITHIN_S)
    assert code == TOPICS_ERROR, output.read_text()
    assert f"topic {log.prefix}{topic.name} was deleted" in output.read_text()
    assert "Traceback" not in output.read_text()


def delete(log: HandwrittenLog, topic: Topic) -> None:
    name = topic.full_name(log.prefix)
    admin = AdminClient({"bootstrap.servers": log.bootstrap})
    admin.delete_topics([name])[name].result()
    eventually(f"{name} is deleted", lambda: name not in admin.list_topics(timeout=5).topics)


def test_matcher_whose_commands_are_fewer_than_their_outcomes_exits_with_6(
    log: HandwrittenLog, environ: dict[str, str]
) -> None:
    delete(log, COMMANDS)
    TopicsAdmin(log.kafka, log.prefix).apply(PARTITIONS, "process")
    ended = finished(environ, *AT_ONCE["matcher"])
    assert ended.returncode == BROKEN_LOG, ended.stderr
    assert "ends at 0, but there are outcomes of commands up to 7" in ended.stderr
