"""Kills of the sender: kill -9 at an interval, then a restart as `exchange run` does it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.webhooks.figures import Killed
from loadgen.report.resources import usage
from services.local.exchange import LocalExchange
from services.local.restart_policy import RestartPolicy, RestartState
from services.local.supervisor import LOOK_INTERVAL_S, SupervisedProcess, Supervisor

_SENDER = "webhooks"
# Each kill counts as one after a long uptime: the run measures single kills, not crash loops.
_POLICY = RestartPolicy(quick_death_s=0.0)


class Kills:
    """Kills of one stack's sender. `cpu_s`: CPU time of all its processes since `with`."""

    def __init__(self, stack: LocalExchange, every_s: float, say: Callable[[str], None]) -> None:
        self._child = stack.services[_SENDER]
        self._every_s = every_s
        self._say = say
        self._ending = threading.Event()
        self._failures: list[BaseException] = []
        self._at_us = 0
        self.killed: list[Killed] = []
        self.cpu_s = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Kill until the context ends; a sender runs afterwards. `every_s` 0: no kills."""
        before_s = usage(self._child.pid).cpu_s
        thread = threading.Thread(target=self._run, name="kills")
        if self._every_s:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            if self._every_s:
                thread.join()
        if self._failures:
            raise self._failures[0]
        self.cpu_s -= before_s

    def measured(self) -> None:
        """Add the CPU time of the running sender; call it once, at the end."""
        self.cpu_s += usage(self._child.pid).cpu_s

    def _run(self) -> None:
        try:
            self._kill_and_start()
        except BaseException as error:
            # The thread that joins this one raises the error.
            self._failures.append(error)

    def _kill_and_start(self) -> None:
        now_s = time.monotonic()
        state = RestartState(_POLICY, now_s)
        supervised = SupervisedProcess(
            _SENDER, lambda: self._child, self._start, self._child.log_file, state
        )
        supervisor = Supervisor([supervised], self._say)
        next_s = now_s + self._every_s
        while not self._ending.wait(LOOK_INTERVAL_S):
            now_s = time.monotonic()
            supervisor.look_after(now_s)
            # After the supervisor's look, so that a kill is noticed as late as possible.
            if now_s >= next_s and self._child.alive:
                next_s += self._every_s
                self.cpu_s += usage(self._child.pid).cpu_s
                self._at_us = time.time_ns() // 1_000
                self._child.kill()
        if not self._child.alive:
            self._start()

    def _start(self) -> None:
        self._child.start()
        self.killed.append(Killed(self._at_us, time.time_ns() // 1_000))
