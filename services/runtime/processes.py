"""Runs the same work for several tasks in processes, as many at a time as cores."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import Synchronized
from typing import TypeVar

from services.runtime.errors import UnavailableError

Task = TypeVar("Task")
Result = TypeVar("Result")
Advance = Callable[[int], None]
# Called with a task, and with a function that counts its progress.
Work = Callable[[Task, Advance], Result]

_REPORT_S = 0.2
# In a worker process: the units done by all of them, set once when it begins.
_done: "list[Synchronized[int]]" = []


def run_in_processes(
    work: Work[Task, Result], tasks: Sequence[Task], advance: Advance, remedy: str
) -> list[Result]:
    """The results in the order of the tasks; `advance` receives progress of all processes.

    Raises the first error of a task, and UnavailableError with `remedy` if a process was ended;
    then the other processes are ended.
    """
    # `spawn`: a fork would copy the threads' locks of the Kafka client.
    processes = multiprocessing.get_context("spawn")
    done: Synchronized[int] = processes.Value("q", 0)
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(min(len(tasks), cores), processes, _begin, (done,)) as pool:
        running = [pool.submit(_run, work, task) for task in tasks]
        try:
            return results_of(running, done, advance, remedy)
        except BaseException:
            # The pool would wait until the running tasks are done.
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def results_of(
    running: Sequence[Future[Result]], done: "Synchronized[int]", advance: Advance, remedy: str
) -> list[Result]:
    """The results of futures in their order; raises as `run_in_processes`."""
    left = set(running)
    reported = 0
    try:
        while left:
            ended, left = wait(left, _REPORT_S, FIRST_COMPLETED)
            for one in ended:
                one.result()
            now = done.value
            advance(now - reported)
            reported = now
    except BrokenProcessPool as error:
        raise UnavailableError(
            f"a process was ended, perhaps for lack of memory; {remedy}"
        ) from error
    return [one.result() for one in running]


def _begin(done: "Synchronized[int]") -> None:
    # Without a traceback: the main process reports the interrupt.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _done.append(done)


def _run(work: Work[Task, Result], task: Task) -> Result:
    return work(task, _count)


def _count(units: int) -> None:
    for done in _done:
        with done.get_lock():
            done.value += units
