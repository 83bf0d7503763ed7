"""Runs a plan in sending processes and watches them: records, live figures, resources.

1. start the processes, 2. one common start time, 3. receive records until all have ended, or a
signal, a silent exchange or a dead process ends the run.
"""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Final

import msgspec
from msgspec import Struct, structs

from loadgen.client.client import Job
from loadgen.client.record import Records
from loadgen.client.worker import WorkerReport, work
from loadgen.outage_detection import OutageDetector
from loadgen.report.resources import Sampler, UsageSample
from loadgen.workload.orderflow import Plan

# Bounds the wait for messages, so that signals and dead processes are noticed.
LISTEN_S: Final = 0.1
# Time for the start message to reach all senders before the start.
HEAD_START_S: Final = 0.2
# A sender sends its last records when it is stopped.
STOP_GRACE_S: Final = 5.0
INTERRUPTED: Final = "interrupted"


class WorkersError(Exception):
    """Requests cannot be sent at all; none was sent."""


class RunState(Struct):
    """State during a run. `now_us` is negative before the start."""

    plan: Plan
    records: Records
    now_us: int = 0
    sent: int = 0
    cpu_s: float = 0.0


class RunResult(Struct, frozen=True):
    """Result of a run. `why` is empty if everything was sent and answered."""

    plan: Plan
    records: Records
    sent: int
    cpu_s: float
    started_at_ms: int
    samples: list[UsageSample]
    why: str


class Workers(Struct, frozen=True):
    """Runs plans. `pids`: processes to watch; `on_state` is called a few times a second."""

    processes: int
    pids: Mapping[str, int]
    give_up_s: float
    on_state: Callable[[RunState], None]

    def run(self, job: Job, plan: Plan) -> RunResult:
        """Run until everything is answered or something ends it. Leaves no process behind."""
        state = RunState(plan, Records())
        with _stop_on_signals() as stop_requested:
            senders = _Senders(job, plan, self.processes)
            try:
                start = senders.start()
                started_at_ms = int((time.time() + start - time.monotonic()) * 1_000)
                names = {f"sender {n + 1}": pid for n, pid in enumerate(senders.pids())}
                sampler = Sampler({**names, **self.pids}, start)
                why = self._listen(senders, state, start, sampler, stop_requested)
            finally:
                senders.end(state)
        return RunResult(
            plan, state.records, state.sent, state.cpu_s, started_at_ms, sampler.samples, why
        )

    def _listen(
        self,
        senders: "_Senders",
        state: RunState,
        start: float,
        sampler: Sampler,
        stop_requested: Callable[[], bool],
    ) -> str:
        outage = OutageDetector(self.give_up_s)
        while senders.open:
            senders.listen(state)
            now = time.monotonic()
            state.now_us = int((now - start) * 1_000_000)
            sampler.look(now)
            self.on_state(state)
            if stop_requested():
                return INTERRUPTED
            if senders.failed():
                return "a sending process died"
            if outage.over(now, state.sent, state.records):
                return f"{self.give_up_s:g} s without any answer: the exchange is gone"
        sampler.look(time.monotonic(), last=True)
        return ""


class _Senders:
    """The processes, with a pipe to each."""

    def __init__(self, job: Job, plan: Plan, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        raw = msgspec.json.encode(plan)
        self._processes: list[BaseProcess] = []
        self.open: list[Connection] = []
        self._reports: dict[Connection, WorkerReport] = {}
        for part in range(count):
            ours, theirs = context.Pipe()
            mine = structs.replace(job, part=part, parts=count)
            process = context.Process(target=work, args=(mine, raw, theirs), daemon=True)
            start_ignoring_signals(process)
            theirs.close()
            self._processes.append(process)
            self.open.append(ours)

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes if process.pid is not None]

    def start(self) -> float:
        """Wait until all are ready; returns the start on the monotonic clock."""
        for pipe in self.open:
            try:
                pipe.recv()
            except (EOFError, ConnectionResetError) as error:
                raise WorkersError("a sending process ended before it began") from error
        start = time.monotonic() + HEAD_START_S
        for pipe in self.open:
            pipe.send(start)
        return start

    def listen(self, state: RunState) -> None:
        """Receive progress, with a short wait."""
        for pipe in wait(self.open, LISTEN_S) if self.open else ():
            assert isinstance(pipe, Connection)  # noqa: S101 - for the type checker
            try:
                report: WorkerReport = pipe.recv()
            except (EOFError, ConnectionResetError):
                self.open.remove(pipe)
                pipe.close()
                continue
            state.records.extend(report.batch)
            self._reports[pipe] = report
        state.sent = sum(report.sent for report in self._reports.values())
        state.cpu_s = sum(report.cpu_s for report in self._reports.values())

    def failed(self) -> bool:
        """True if a process has ended before its part was done."""
        return any(process.exitcode for process in self._processes)

    def end(self, state: RunState) -> None:
        """Request the end of running processes, receive their last records, then kill them."""
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + STOP_GRACE_S
        while self.open and time.monotonic() < deadline:
            self.listen(state)
        for process in self._processes:
            process.kill()
            process.join()


def start_ignoring_signals(process: BaseProcess) -> None:
    """Ignore Ctrl-C in children: a terminal sends it to all, and the parent decides."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    process.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, former)


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Record Ctrl-C and SIGTERM instead of raising, which could interrupt a message."""
    stop_requested: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        stop_requested.append(number)

    former = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(stop_requested)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
