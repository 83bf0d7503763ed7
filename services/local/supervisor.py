"""Keeps an exchange running: restarts dead processes, and gives up if orders need one that
repeatedly dies. Helpers are restarted without end.

One thread that checks a few times a second, outside the path of an order.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from services.local.exchange import ESSENTIAL, POSTGRES, START_ERRORS, LocalExchange
from services.local.helper_status import HelperProbes, HelperStatus
from services.local.remedies import ended, start_failure
from services.local.restart_policy import HELPER_POLICY, RestartPolicy, RestartState
from services.runtime.errors import GaveUpError

LOOK_INTERVAL_S = 0.2
# A helper's start that is in progress at the end: a stop of the servers ends it anyway.
JOIN_TIMEOUT_S = 5.0


class Process(Protocol):
    """A child process; implemented by infra's ChildProcess."""

    @property
    def alive(self) -> bool: ...
    @property
    def exit_code(self) -> int | None: ...


class SupervisedProcess(Struct):
    """One supervised process: access to it, how to start it, its log file and its history."""

    name: str
    look: Callable[[], Process]
    start: Callable[[], None]
    log_file: Path
    state: RestartState
    left: bool = False
    status: HelperStatus | None = None
    """For a helper: where it is listed while it is down."""
    stand_by: Callable[[], None] | None = None
    """Makes the next start a standby; without it a superseded process is left alone."""
    failure: str | None = None
    """The reason why the last start failed; None if the process was started."""
    starting: threading.Thread | None = None


class Supervisor:
    """`watch` runs until `wanted` returns False. `report` gets lines for the operator."""

    def __init__(
        self,
        processes: list[SupervisedProcess],
        report: Callable[[str], None],
        probes: HelperProbes | None = None,
    ) -> None:
        self._processes = processes
        self._report = report
        self._probes = probes or HelperProbes({}, HelperStatus(Path()))

    def watch(self, wanted: Callable[[], bool]) -> None:
        """Check until `wanted` returns False. Raises GaveUpError."""
        self._probes.start()
        try:
            while wanted():
                self.look_after(time.monotonic())
                time.sleep(LOOK_INTERVAL_S)
        finally:
            self._probes.stop()
            for process in self._processes:
                if process.starting is not None:
                    process.starting.join(JOIN_TIMEOUT_S)

    def look_after(self, now_s: float) -> None:
        """Check all processes once."""
        for process in self._processes:
            if process.left or (process.starting is not None and process.starting.is_alive()):
                continue
            process.starting = None
            found = process.look()
            if found.alive:
                continue
            if process.state.due_s is None:
                self._judge(process, found.exit_code, now_s)
            if process.state.due_s is not None and now_s >= process.state.due_s:
                self._start(process, now_s)

    def _judge(self, process: SupervisedProcess, exit_code: int | None, now_s: float) -> None:
        verdict = process.state.died(exit_code, now_s)
        if process.status is not None:
            self._report_helper(process, process.status, exit_code, now_s)
        elif verdict == "give_up":
            raise GaveUpError(
                f"{process.name} ended with exit code {exit_code} and a restart does not help; "
                f"see {process.log_file}"
            )
        elif verdict == "superseded" and process.stand_by is None:
            process.left = True
            self._report(f"{process.name} was superseded by another one and is not started again")
        elif verdict == "superseded" and process.stand_by is not None:
            process.stand_by()
            self._report(
                f"{process.name} was superseded by the one of another exchange on the same Kafka "
                f"and topic prefix; starting it again as a standby, which takes over when that "
                f"one stops. Remedy: stop one of them, or give it another EXCHANGE_TOPIC_PREFIX"
            )
        else:
            self._report(f"{process.name} ended with exit code {exit_code}; starting it again")

    def _report_helper(
        self, process: SupervisedProcess, status: HelperStatus, exit_code: int | None, now_s: float
    ) -> None:
        why = process.failure or ended(exit_code, f"logs: {process.log_file}")
        status.down(process.name, process.failure or ended(exit_code, process.log_file.name))
        pause_s = (process.state.due_s or now_s) - now_s
        self._report(f"{process.name} {why}. Orders are served; next start in {pause_s:.1f} s")

    def _start(self, process: SupervisedProcess, now_s: float) -> None:
        process.state.started(now_s)
        if process.status is None:
            self._try_start(process)
            return
        # In a thread: a database that takes a minute to start must not delay a matcher's restart.
        process.starting = threading.Thread(
            target=self._try_start, args=[process], name=f"start {process.name}", daemon=True
        )
        process.starting.start()

    def _try_start(self, process: SupervisedProcess) -> None:
        process.failure = None
        try:
            process.start()
        except START_ERRORS as error:
            if process.status is None:
                self._report(f"{process.name} does not start: {error}")
            else:
                process.failure = start_failure(error)
        else:
            if process.name == POSTGRES and process.status is not None:
                process.status.up(process.name)


def supervisor(stack: LocalExchange, report: Callable[[str], None]) -> Supervisor:
    """A supervisor of everything that this exchange started: local servers and services."""
    now_s = time.monotonic()
    status = stack.helper_status
    status.report = report

    def supervised(
        name: str, look: Callable[[], Process], start: Callable[[], None], log_file: Path
    ) -> SupervisedProcess:
        if name in ESSENTIAL:
            return SupervisedProcess(
                name, look, start, log_file, RestartState(RestartPolicy(), now_s)
            )
        state = RestartState(HELPER_POLICY, now_s)
        return SupervisedProcess(
            name, look, start, log_file, state, status=status, failure=status.detail(name)
        )

    processes: list[SupervisedProcess] = []
    for name, server in (("Kafka", stack.servers.kafka), (POSTGRES, stack.servers.postgres)):
        if server is not None:
            look = partial(getattr, server, "process")
            processes.append(supervised(name, look, server.start, server.process.log_file))
    for name, child in stack.services.items():
        look = partial(stack.services.__getitem__, name)
        one = supervised(name, look, partial(stack.start, name), child.log_file)
        if name == "matcher":
            one.stand_by = stack.make_standby
        processes.append(one)
    helpers = [name for name in stack.services if name not in ESSENTIAL]
    probes = HelperProbes({name: partial(stack.ready, name) for name in helpers}, status)
    return Supervisor(processes, report, probes)
