"""Supervisor: restarts programs that end, as `exchange run` does, except those held by a fault.

One thread and one lock per program, so that a broker's slow start does not delay other restarts.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from infra.errors import InfraError
from services.local.restart_policy import RestartPolicy, RestartState, Verdict
from services.local.supervisor import LOOK_INTERVAL_S, SupervisedProcess, Supervisor
from services.runtime.errors import GaveUpError
from tests.chaos.cluster import Cluster
from tests.chaos.plan import PROGRAMS

# Practically unlimited: faults kill often, and the liveness check finds what does not come back.
_POLICY = RestartPolicy(quick_deaths_max=1_000, backoff_s_max=2.0)


class _RecordingState(RestartState):
    """Restart state that keeps the exit code of every unexpected end."""

    def __init__(self, policy: RestartPolicy, started_s: float) -> None:
        super().__init__(policy, started_s)
        self.codes: list[int | None] = []

    def died(self, exit_code: int | None, now_s: float) -> Verdict:
        self.codes.append(exit_code)
        return super().died(exit_code, now_s)


class _Program:
    """One program; `lock` serialises its restarts with the faults that hold it."""

    def __init__(self, cluster: Cluster, name: str, print_line: Callable[[str], None]) -> None:
        self.lock = threading.Lock()
        self.state = _RecordingState(_POLICY, time.monotonic())
        self.supervised = SupervisedProcess(
            name,
            partial(cluster.process, name),
            partial(cluster.start, name),
            cluster.process(name).log_file,
            self.state,
        )
        # The first line only: a broker that fails to start reports the end of its log too.
        self.supervisor = Supervisor(
            [self.supervised], lambda line: print_line(line.splitlines()[0])
        )


class ChaosSupervisor:
    """Supervises every program of the cluster inside of `watching()`."""

    def __init__(self, cluster: Cluster, print_line: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._print_line = print_line
        self._ending = threading.Event()
        self._programs: dict[str, _Program] = {
            name: _Program(cluster, name, print_line) for name in PROGRAMS
        }
        self.gave_up: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """A context in which programs are restarted; none is started after its end."""
        threads = [
            threading.Thread(target=self._watch, args=[program], name=f"supervisor-{name}")
            for name, program in self._programs.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()

    def unexpected_exits(self) -> dict[str, list[int | None]]:
        """Exit codes of the programs that ended without a fault, by name."""
        codes = {name: program.state.codes for name, program in self._programs.items()}
        return {name: each for name, each in codes.items() if each}

    def hold(self, name: str, begin_fault: Callable[[], None]) -> None:
        """Stop restarting the program and begin a fault on it."""
        program = self._programs[name]
        with program.lock:
            program.supervised.left = True
            begin_fault()

    def release(self, name: str) -> None:
        """Start the program unless it runs, and supervise it again. A failed start is retried."""
        program = self._programs[name]
        with program.lock:
            try:
                if not self._cluster.process(name).alive:
                    self._cluster.start(name)
            except (InfraError, OSError) as error:
                self._print_line(f"{name} does not start: {error}".splitlines()[0])
            program.state.started(time.monotonic())
            program.supervised.left = False

    def _watch(self, program: _Program) -> None:
        while not self._ending.wait(LOOK_INTERVAL_S):
            try:
                with program.lock:
                    program.supervisor.look_after(time.monotonic())
            except OSError as error:
                # Expected on a full disk: a server writes files before it starts.
                self._print_line(f"{program.supervised.name} does not start: {error}")
            except GaveUpError as error:
                self.gave_up.append(str(error))
                return
