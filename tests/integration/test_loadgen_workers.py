"""The load generator's main process when one of its sending processes dies."""

import os
import signal
import socket

import psutil  # type: ignore[import-untyped]  # ships no annotations
import pytest

from loadgen.client.client import Job
from loadgen.client.workers import RunState, Workers
from loadgen.workload.orderflow import plan
from loadgen.workload.profiles import B3, scaled

PLAN = plan(scaled(B3, 5, 60), 1)


def senders() -> list[int]:
    """Pids of the sending children, without the resource tracker of `multiprocessing`."""
    children = psutil.Process().children()
    return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_workers_with_a_killed_sender_end_with_the_reason() -> None:
    killed: list[int] = []

    def on_state(state: RunState) -> None:
        if not killed and state.now_us > 300_000:
            killed.extend(senders())
            os.kill(killed[0], signal.SIGKILL)

    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        job = Job(url, ("key",) * 100, "t-")
        ran = Workers(2, {}, 30.0, on_state).run(job, PLAN)
    assert len(killed) == 2
    assert ran.why == "a sending process died"
    assert senders() == []
    assert 0 < ran.sent < len(PLAN.actions)
    # The records also include requests in progress in the surviving sender.
    assert any(line.kind == "abandoned" for line in ran.records)


@pytest.mark.parametrize("processes", [1, 3])
def test_workers_end_by_themselves_when_nothing_answers(processes: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        job = Job(url, ("key",) * 100, "t-")
        ran = Workers(processes, {"us": os.getpid()}, 0.5, lambda _: None).run(job, PLAN)
    assert "without any answer" in ran.why
    assert senders() == []
    assert {"us", "sender 1"} <= set(ran.samples[0].usage)
