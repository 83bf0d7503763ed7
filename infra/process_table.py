"""Questions to /proc: who descends from a process, who works in a folder."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

POLL_S = 0.02


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _state_and_parent(pid: int) -> tuple[str, int] | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets and may itself contain brackets.
    fields = stat.rpartition(")")[2].split()
    return fields[0], int(fields[1])


def is_running(pid: int) -> bool:
    """False for a zombie too: it holds neither files nor ports."""
    found = _state_and_parent(pid)
    return found is not None and found[0] not in "ZX"


def descendants(pid: int) -> list[int]:
    """Every living process below `pid`, nearest first."""
    children: dict[int, list[int]] = {}
    for candidate in _pids():
        found = _state_and_parent(candidate)
        if found is not None:
            children.setdefault(found[1], []).append(candidate)
    below: list[int] = []
    pending = [pid]
    while pending:
        next_ones = children.get(pending.pop(0), [])
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
    for pid in _pids():
        try:
            at = os.readlink(f"/proc/{pid}/cwd")
            name = Path(os.readlink(f"/proc/{pid}/exe")).name
        except OSError:
            continue
        if at == wanted and name == program and is_running(pid):
            found.append(pid)
    return found


def wait_until_gone(pids: list[int], timeout_s: float) -> list[int]:
    """Wait for the processes to end and return those that did not."""
    deadline = time.monotonic() + timeout_s
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left
