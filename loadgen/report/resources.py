"""CPU and memory of an exchange's processes during a run, read through psutil."""

from collections.abc import Mapping

import psutil  # type: ignore[import-untyped]  # ships no annotations
from msgspec import Struct


class Usage(Struct, frozen=True):
    """Usage of a process and its descendants. Memory counts shared pages once per process."""

    cpu_s: float
    memory_bytes: int


def usage(pid: int) -> Usage:
    """Usage since the start of the process; zero if it has ended."""
    cpu_s, memory_bytes = 0.0, 0
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return Usage(0.0, 0)
    for process in family:
        try:
            times = process.cpu_times()
            cpu_s += times.user + times.system
            memory_bytes += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        if process is root:
            # CPU of ended children is in their parent, such as that of PostgreSQL's connections.
            cpu_s += times.children_user + times.children_system
    return Usage(cpu_s, memory_bytes)


class Meter:
    """Usage between two moments, by the name of the process."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = {name: usage(pid) for name, pid in self._pids.items()}

    def spent(self) -> dict[str, Usage]:
        """CPU since the start of the measurement, memory now."""
        after = {name: usage(pid) for name, pid in self._pids.items()}
        return {
            name: Usage(found.cpu_s - self._before[name].cpu_s, found.memory_bytes)
            for name, found in after.items()
        }


def shared_memory_bytes(pid: int) -> int:
    """Memory of a process and its descendants, each shared page counted once over all of them."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


class UsageSample(Struct, frozen=True):
    """Usage of each process up to a moment; `at_s` since the start of the run."""

    at_s: float
    usage: dict[str, Usage]


class Sampler:
    """Samples processes once a second."""

    def __init__(self, pids: Mapping[str, int], start: float) -> None:
        self._pids = dict(pids)
        self._start = start
        self._next = 0.0
        self.samples: list[UsageSample] = []

    def look(self, now: float, *, last: bool = False) -> None:
        """Take a sample if one is due, or if it is the last one."""
        at_s = now - self._start
        if at_s < self._next and not last:
            return
        self._next = int(max(0.0, at_s)) + 1.0
        found = {name: usage(pid) for name, pid in self._pids.items()}
        # A process that has ended keeps its last sample.
        self.samples.append(UsageSample(at_s, {n: u for n, u in found.items() if u.memory_bytes}))
