"""Runs the generator and the rule checks, each a separate program, and reads their results."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks.comparison.results import ScalePoint
from benchmarks.comparison.systems import SystemUnderTest
from benchmarks.designs.app import ADMIN_KEY
from infra.process import ChildProcess
from loadgen.capacity import Capacity
from loadgen.report.files import read_summary
from loadgen.report.resources import shared_memory_bytes
from loadgen.report.summary import Summary, SummaryError

COLD_SCALE = 50.0
Say = Callable[[str], None]
POLL_S = 0.2
# The note of figures that a busy machine made invalid.
LATE = "the generator was late"
# The generator writes its results when it is terminated, which takes a moment.
STOP_GRACE_S = 30.0
_ROOT = Path(__file__).parents[2]


class MeasureError(Exception):
    """A program ended without a result; the text contains its last output."""


def rules_hold(system: SystemUnderTest, folder: Path) -> bool:
    """True if the system follows the trading rules; `conformance.log` explains each violation."""
    command = ["-m", "conformance", "--url", system.url]
    return _run(command, system, folder / "conformance.log").exit_code == 0


def cold_point(system: SystemUnderTest, duration_s: int, folder: Path) -> ScalePoint:
    """The first load of a system that was just started. Raises MeasureError."""
    folder = folder / "cold"
    folder.mkdir(parents=True, exist_ok=True)
    # Filling books would warm the system up.
    profile = folder / "profile.json"
    profile.write_bytes(msgspec.json.encode({"book_orders_per_symbol": 0}))
    return _run_at(
        system, COLD_SCALE, duration_s, folder, ["--warm-up", "0", "--profile", str(profile)]
    )


def point(system: SystemUnderTest, scale: float, duration_s: int, folder: Path) -> ScalePoint:
    """One run at one scale, warmed up. Raises MeasureError."""
    return _run_at(system, scale, duration_s, folder / f"scale-{scale:g}", [])


def _run_at(
    system: SystemUnderTest, scale: float, duration_s: int, folder: Path, more: Sequence[str]
) -> ScalePoint:
    pids = [f"--pid={name}={pid}" for name, pid in system.pids().items()]
    command = ["-m", "loadgen", "run", "--url", system.url, "--scale", f"{scale:g}"]
    command += ["--duration", str(duration_s), "--report", str(folder), "--no-audit", *pids, *more]
    program = _run(command, system, folder / "loadgen.log")
    try:
        found = read_summary(folder)
    except (SummaryError, OSError) as error:
        raise MeasureError(f"no figures at {scale:g} %:\n{program.tail_of_log(5)}") from error
    return _point(found, scale, system)


def _point(found: Summary, scale: float, system: SystemUnderTest) -> ScalePoint:
    orders = found.figures.latency_us.get("order")
    ours = system.pids()
    notes = [
        *([] if found.complete else [found.why]),
        *([] if found.valid else [LATE]),
    ]
    return ScalePoint(
        scale=scale,
        p50_us=None if orders is None else orders.p50,
        p99_us=None if orders is None else orders.p99,
        errors_percent=found.errors_percent,
        done_per_s=found.done_per_s,
        cpu_us_per_request=sum(
            cost.cpu_us_per_request for name, cost in found.processes.items() if name in ours
        ),
        memory_bytes=sum(shared_memory_bytes(pid) for pid in ours.values()),
        note="; ".join(notes),
    )


def capacity(
    system: SystemUnderTest, start: float, duration_s: int, folder: Path, say: Say
) -> tuple[float | None, str]:
    """The largest scale within the limits, with a note. Raises MeasureError."""
    folder = folder / "capacity"
    command = ["-m", "loadgen", "capacity", "--url", system.url, "--start", f"{start:g}"]
    command += ["--duration", str(duration_s), "--report", str(folder), "--no-audit"]
    shown = 0

    def show_new_steps() -> None:
        nonlocal shown
        now = _capacity(folder)
        for step in [] if now is None else now.steps[shown:]:
            shown += 1
            say(f"  {step.scale:g} % {'carried' if step.held else 'not carried'}")

    program = _run(command, system, folder / "loadgen.log", show_new_steps)
    found = _capacity(folder)
    if found is None:
        raise MeasureError(f"no capacity was found:\n{program.tail_of_log(5)}")
    late = any(not step.valid for step in found.steps)
    return found.scale, "the generator was late in a step" if late else ""


def _capacity(folder: Path) -> Capacity | None:
    try:
        return msgspec.json.decode((folder / "capacity.json").read_bytes(), type=Capacity)
    except (OSError, msgspec.MsgspecError):
        # The file is missing, or is just being written.
        return None


def _run(
    arguments: Sequence[str],
    system: SystemUnderTest,
    log_file: Path,
    on_poll: Callable[[], None] = lambda: None,
) -> ChildProcess:
    """Run a program to its end; an interruption terminates it gracefully first."""
    program = ChildProcess(
        [sys.executable, *arguments],
        log_file=log_file,
        env={**os.environ, ADMIN_KEY: system.admin_key},
        cwd=_ROOT,
    )
    program.start()
    try:
        while program.alive:
            time.sleep(POLL_S)
            on_poll()
    finally:
        program.stop(grace_s=STOP_GRACE_S)
    on_poll()
    return program
