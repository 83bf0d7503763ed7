"""Work beside the load in a process of its own, which begins, ends and reports on request."""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

import uvloop

from loadgen.client.setup import SetupError
from loadgen.client.workers import start_ignoring_signals

READY_S_MAX: Final = 120.0
REPORT_S_MAX: Final = 30.0


class Beside(Protocol):
    """Work of such a process; it is pickled."""

    async def begin(self) -> None:
        """Open what has to be there before the load."""

    async def end(self) -> Any:
        """Close everything; the report."""


@contextmanager
def beside(work: Beside) -> Iterator[Callable[[], Any]]:
    """Run the work from here on; the callable ends it and returns its report. Raises SetupError."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(work, theirs), daemon=True)
    start_ignoring_signals(process)
    theirs.close()

    def report() -> Any:
        ours.send(None)
        return _received(ours, REPORT_S_MAX)

    try:
        _received(ours, READY_S_MAX)
        yield report
    finally:
        process.kill()
        process.join()


def _received(pipe: Connection, wait_s: float) -> Any:
    try:
        if pipe.poll(wait_s):
            return pipe.recv()
    except EOFError:
        pass
    raise SetupError("a process beside the load ended, or did not answer in time")


def _run(work: Beside, pipe: Connection) -> None:
    uvloop.run(_serve(work, pipe))


async def _serve(work: Beside, pipe: Connection) -> None:
    await work.begin()
    pipe.send(None)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), ended.set)
    await ended.wait()
    loop.remove_reader(pipe.fileno())
    # The loop made it non-blocking, and a report may be larger than its buffer.
    os.set_blocking(pipe.fileno(), True)
    pipe.send(await work.end())
