"""Both local servers together: they end with their owner, and a folder has one owner."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from conformance.api import eventually
from infra.errors import FolderBusyError, ServerFailedError
from infra.folder_lock import FolderLock
from infra.process_table import descendants, is_running, working_in
from infra.servers import LocalServers
from tests.infra.programs import end, first_line, start_python

OWNER = """
import sys, time
from pathlib import Path
from infra.servers import LocalServers
servers = LocalServers(Path(sys.argv[1]))
servers.start()
print(servers.database_url, flush=True)
time.sleep(600)
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that runs both servers under `tmp_path` without handling its own termination."""
    program = start_python(OWNER, str(tmp_path))
    yield program
    if program.poll() is None:
        end(program)


def test_servers_when_their_owner_is_killed_are_gone_and_can_be_started(
    tmp_path: Path, owner: subprocess.Popen[str]
) -> None:
    url = first_line(owner)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    below = descendants(owner.pid)
    assert len(working_in(tmp_path / "kafka", "java")) == 1
    assert len(working_in(tmp_path / "postgres" / "cluster", "postgres")) > 1

    with pytest.raises(FolderBusyError, match=f"{tmp_path} is in use .*pid {owner.pid}"):
        LocalServers(tmp_path).start()
    assert len(working_in(tmp_path / "kafka", "java")) == 1
    assert len(working_in(tmp_path / "postgres" / "cluster", "postgres")) > 1

    end(owner)
    # Start immediately: the old servers may still be shutting down.
    with LocalServers(tmp_path) as servers:
        assert not any(is_running(pid) for pid in below)
        with psycopg.connect(servers.database_url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)

    assert working_in(tmp_path / "kafka", "java") == []
    assert working_in(tmp_path / "postgres" / "cluster", "postgres") == []


def test_servers_when_their_owner_is_killed_at_any_moment_leave_nothing(tmp_path: Path) -> None:
    for moment in range(4):
        program = start_python(OWNER, str(tmp_path / str(moment)))
        # The time until the first child process is not under test.
        eventually("a child process runs", lambda pid=program.pid: bool(descendants(pid)))  # type: ignore[misc]
        # Not a wait for a condition: the kill strikes at four different moments of the start.
        time.sleep(moment * 0.4)
        below = descendants(program.pid)
        end(program)
        eventually("all ended", lambda pids=below: not any(map(is_running, pids)), 5)  # type: ignore[misc]


def test_servers_when_one_fails_stop_the_other(tmp_path: Path) -> None:
    servers = LocalServers(tmp_path)
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "log").write_text("a file where a folder should be")

    with pytest.raises(ServerFailedError):
        servers.start()

    assert servers.postgres is not None
    assert not servers.postgres.alive
    assert working_in(tmp_path / "postgres" / "cluster", "postgres") == []
    # The folder's lock is free again.
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.release()


def test_servers_when_both_run_elsewhere_start_nothing(tmp_path: Path) -> None:
    elsewhere = LocalServers(tmp_path, kafka="there:9092", database_url="postgresql://there/db")

    with elsewhere as servers:
        assert servers.bootstrap_servers == "there:9092"
        assert servers.database_url == "postgresql://there/db"
        assert servers.kafka is None
        assert servers.postgres is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["lock"]
