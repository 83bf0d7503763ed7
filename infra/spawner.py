"""Starts programs from one thread that lives as long as this process.

The kernel ties the parent-death signal to the parent *thread*: a program started by a short-lived
thread would be killed when that thread ends.
"""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

GUARD = Path(__file__).with_name("parent_death.py")

Process = subprocess.Popen[bytes]
_Job = tuple[Callable[[], Process], "Future[Process]"]


def guarded(command: Sequence[str], prefix: Sequence[str] = ()) -> list[str]:
    """The command line of a program that cannot outlive this process.

    `prefix` is a program that changes identity and then runs the rest. It precedes
    `parent_death.py`, because a change of identity clears the parent-death signal.
    """
    # -I -S: neither the environment nor site-packages take part in starting the guard.
    return [*prefix, sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), *command]


class _Spawner:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        # A daemon: it must be the last thread to end, and must not keep the process alive.
        threading.Thread(target=self._run, name="spawner", daemon=True).start()

    def call(self, start: Callable[[], Process]) -> Process:
        done: Future[Process] = Future()
        self._jobs.put((start, done))
        return done.result()

    def _run(self) -> None:
        while True:
            start, done = self._jobs.get()
            try:
                done.set_result(start())
            except BaseException as error:
                done.set_exception(error)


_lock = threading.Lock()
_spawners: list[_Spawner] = []


def spawn(start: Callable[[], Process]) -> Process:
    """Call `start` on the long-lived thread and return what it returns."""
    with _lock:
        # A forked copy of this process has the list but not the thread.
        if not _spawners or _spawners[0].pid != os.getpid():
            _spawners[:] = [_Spawner()]
        spawner = _spawners[0]
    return spawner.call(start)
