"""Starts again what ends by itself, as `exchange run` does, and leaves alone what a fault holds.

One thread and one lock per program: a broker that takes seconds to start holds up nobody else.
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

# Chaos kills more often than any market; giving up is what the liveness phase is for.
_POLICY = RestartPolicy(quick_deaths_max=1_000, backoff_s_max=2.0)


class _NotingState(RestartState):
    """Keeps every exit code that nobody asked for."""

    def __init__(self, policy: RestartPolicy, started_s: float) -> None:
        super().__init__(policy, started_s)
        self.codes: list[int | None] = []

    def died(self, exit_code: int | None, now_s: float) -> Verdict:
        self.codes.append(exit_code)
        return super().died(exit_code, now_s)


class _Kept:
    """One program."""

    def __init__(self, cluster: Cluster, name: str, tell: Callable[[str], None]) -> None:
        self.lock = threading.Lock()
        self.state = _NotingState(_POLICY, time.monotonic())
        self.ward = SupervisedProcess(
            name,
            partial(cluster.process, name),
            partial(cluster.start, name),
            cluster.process(name).log_file,
            self.state,
        )
        # A broker that does not start tells the whole end of its log.
        self.supervisor = Supervisor([self.ward], lambda line: tell(line.splitlines()[0]))


class ChaosSupervisor:
    """Watches from `with` to its end."""

    def __init__(self, cluster: Cluster, tell: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._tell = tell
        self._ending = threading.Event()
        self._kept: dict[str, _Kept] = {name: _Kept(cluster, name, tell) for name in PROGRAMS}
        self.gave_up: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Nothing is started any more after the end."""
        threads = [
            threading.Thread(target=self._watch, args=[kept], name=f"keeper-{name}")
            for name, kept in self._kept.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()

    def ended_by_themselves(self) -> dict[str, list[int | None]]:
        """Exit codes by program."""
        return {name: kept.state.codes for name, kept in self._kept.items() if kept.state.codes}

    def take(self, name: str, strike: Callable[[], None]) -> None:
        """From now on a fault decides whether this program lives."""
        kept = self._kept[name]
        with kept.lock:
            kept.ward.left = True
            strike()

    def give_back(self, name: str) -> None:
        """Start it unless it runs; when that fails, it is tried again and again."""
        kept = self._kept[name]
        with kept.lock:
            try:
                if not self._cluster.process(name).alive:
                    self._cluster.start(name)
            except (InfraError, OSError) as error:
                self._tell(f"{name} does not start: {error}".splitlines()[0])
            kept.state.started(time.monotonic())
            kept.ward.left = False

    def _watch(self, kept: _Kept) -> None:
        while not self._ending.wait(LOOK_INTERVAL_S):
            try:
                with kept.lock:
                    kept.supervisor.look_after(time.monotonic())
            except OSError as error:
                # No room on the disk for what a server writes before it starts.
                self._tell(f"{kept.ward.name} does not start: {error}")
            except GaveUpError as error:
                self.gave_up.append(str(error))
                return
