"""A data directory has at most one owner; the lock of a dead owner is released."""

import os
from pathlib import Path

import pytest

from conformance.api import eventually
from infra.errors import FolderBusyError
from infra.folder_lock import FolderLock, wait_until_unused
from infra.process import ChildProcess
from tests.infra.programs import end, first_line, runs, start_python

OWNER = """
import sys, time
from pathlib import Path
from infra.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(600)
"""


def test_lock_when_held_names_the_folder_and_the_owner(tmp_path: Path) -> None:
    owner = FolderLock(tmp_path)
    owner.acquire()

    with pytest.raises(FolderBusyError, match=f"{tmp_path} is in use .*pid {os.getpid()}"):
        FolderLock(tmp_path).acquire()

    owner.release()
    next_owner = FolderLock(tmp_path)
    next_owner.acquire()
    next_owner.release()


def test_lock_when_its_owner_was_killed_is_free(tmp_path: Path) -> None:
    owner = start_python(OWNER, str(tmp_path))
    assert first_line(owner) == "held"
    lock = FolderLock(tmp_path)
    with pytest.raises(FolderBusyError, match=f"pid {owner.pid}"):
        lock.acquire()

    end(owner)

    lock.acquire()
    lock.release()


def test_folder_when_a_server_works_there_is_refused_and_a_shell_is_not(tmp_path: Path) -> None:
    server = ChildProcess(["sleep", "600"], log_file=tmp_path / "log", cwd=tmp_path)
    server.start()
    eventually("the server runs", lambda: runs(server.pid, "sleep"), 5)

    wait_until_unused(tmp_path, "postgres", timeout_s=0.1)
    with pytest.raises(FolderBusyError, match=f"pid {server.pid}"):
        wait_until_unused(tmp_path, Path(os.readlink(f"/proc/{server.pid}/exe")).name, 0.1)

    server.kill()
