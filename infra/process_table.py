"""Queries about running processes: descendants, processes in a folder, listeners on a port."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no annotations

POLL_S = 0.02
_ENDED = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})


def is_running(pid: int) -> bool:
    """False for a zombie too: it holds neither files nor ports."""
    try:
        return psutil.Process(pid).status() not in _ENDED
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, nearest first."""
    # Not `Process.children`: it compares wall-clock times, so that it could miss a child while
    # the system's clock is set, and a kill would leave that child running.
    children: dict[int, list[int]] = defaultdict(list)
    for process in _processes():
        with suppress(psutil.NoSuchProcess):
            children[process.ppid()].append(process.pid)
    below: list[int] = []
    pending = [pid]
    while pending:
        next_ones = children[pending.pop(0)]
        below += next_ones
        pending += next_ones
    return below


def working_in(folder: Path, program: str) -> list[int]:
    """Process ids of `program` whose current directory is `folder`.

    Other programs, such as a shell in that folder, are left out. Processes of other users may be
    invisible.
    """
    wanted = str(folder.resolve())
    found = []
    for process in _processes():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.cwd() == wanted and Path(process.exe()).name == program:
                found.append(process.pid)
    return found


def wait_until_gone(pids: list[int], timeout_s: float) -> list[int]:
    """Wait for the processes to end and return those that did not."""
    # Not `psutil.wait_procs`: it would take the exit codes of our own children.
    deadline = time.monotonic() + timeout_s
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left


def listens(pid: int, port: int) -> bool:
    """True if this process listens on the TCP port; also if its files may not be looked at.

    A server of another program on the same port must not be taken for this one.
    """
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
    return any(
        each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections
    )


def _processes() -> Iterator[psutil.Process]:
    # Not `psutil.process_iter`: it keeps processes between calls and leaves out a reused pid.
    for pid in psutil.pids():
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)
