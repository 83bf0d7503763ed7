"""The sender's deaths: kill -9 every so often, and started again as `exchange run` starts it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.webhooks.figures import Killed
from loadgen.report.resources import usage
from services.local.exchange import Stack
from services.local.restart_policy import RestartPolicy, RestartState
from services.local.supervisor import LOOK_INTERVAL_S, SupervisedProcess, Supervisor

_SENDER = "webhooks"
# Each death as after a long life: single deaths are measured, not a program that cannot live.
_POLICY = RestartPolicy(quick_death_s=0.0)


class Kills:
    """Of one stack's sender. `cpu_s`: what all its lives took from `with` on."""

    def __init__(self, stack: Stack, every_s: float, tell: Callable[[str], None]) -> None:
        self._child = stack.services[_SENDER]
        self._every_s = every_s
        self._tell = tell
        self._ending = threading.Event()
        self._failures: list[BaseException] = []
        self._at_us = 0
        self.killed: list[Killed] = []
        self.cpu_s = 0.0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """None is killed any more after the end, and one runs. `every_s` 0: none is killed."""
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
        """Count what the one that runs has taken; once, at the end."""
        self.cpu_s += usage(self._child.pid).cpu_s

    def _run(self) -> None:
        try:
            self._kill_and_start()
        except BaseException as error:
            # For the thread that waits for this one.
            self._failures.append(error)

    def _kill_and_start(self) -> None:
        now_s = time.monotonic()
        state = RestartState(_POLICY, now_s)
        ward = SupervisedProcess(
            _SENDER, lambda: self._child, self._start, self._child.log_file, state
        )
        supervisor = Supervisor([ward], self._tell)
        next_s = now_s + self._every_s
        while not self._ending.wait(LOOK_INTERVAL_S):
            now_s = time.monotonic()
            supervisor.look_after(now_s)
            # Behind the look, so that a death is noticed as late as it can be.
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
