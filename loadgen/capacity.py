"""`loadgen capacity`: searches the largest scale at which orders meet the latency bound."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from loadgen.client.workers import INTERRUPTED
from loadgen.report.machine import Machine, commit, this_machine
from loadgen.report.summary import EXIT_FAILED, EXIT_OK, Audit, Summary
from loadgen.report.threshold import threshold
from loadgen.run import RunOptions, TargetSpec, measure, open_target, session_of
from loadgen.search import Search
from loadgen.workload.orderflow import Plan
from services.runtime.progress import Progress

SCHEMA_VERSION: Final = 1
# Bounds of a scale that is carried: 99 % of orders within this time, and hardly any errors.
CARRIED: Final = (threshold("p99(order)<=50ms"), threshold("errors<=1%"))


class CapacityStep(Struct, frozen=True):
    """One tried scale. `valid`: the generator itself kept up. `report`: the step's folder."""

    scale: float
    held: bool
    repeat: bool
    valid: bool
    complete: bool
    planned_per_s: float
    done_per_s: float
    order_p99_us: int | None
    errors_percent: float
    report: str


class Capacity(Struct, frozen=True, kw_only=True):
    """Content of `capacity.json`. `scale`: the largest that held twice; None: none so far."""

    schema_version: int = SCHEMA_VERSION
    complete: bool
    scale: float | None
    steps: list[CapacityStep]
    audit: Audit = "left out"
    machine: Machine
    commit: str

    @property
    def exit_code(self) -> int:
        """0 if a scale was found and the audit holds."""
        good = self.complete and self.scale is not None and self.audit != "fails"
        return EXIT_OK if good else EXIT_FAILED


def find_capacity(
    flow_at: Callable[[float], Plan],
    search: Search,
    target_spec: TargetSpec,
    run_options: RunOptions,
    folder: Path,
    progress: Progress,
) -> Capacity:
    """Runs the search. Every step keeps its report; the folder itself holds that of the result."""
    wanted = run_options.audit
    run_options = structs.replace(
        run_options, thresholds=run_options.thresholds or CARRIED, audit=False
    )
    steps: list[CapacityStep] = []
    first = flow_at(search.next or 1)
    with ExitStack() as ending:
        target = open_target(target_spec, first.shares(), progress, ending)
        session = session_of(target, progress, run_options)
        session.prepare(first.profile, first.seed)
        while (scale := search.next) is not None:
            name = f"step-{len(steps) + 1:02d}-scale-{scale:g}"
            repeat = search.repeats
            found = measure(session, flow_at(scale), run_options.at(scale), folder / name, progress)
            steps.append(_step(found, scale, name, repeat=repeat))
            progress.say(_line(steps[-1]))
            search.tried(scale, held=steps[-1].held)
            _write(folder, search, steps, "left out")
            if found.why == INTERRUPTED:
                raise KeyboardInterrupt
        if search.found is not None:
            shutil.copytree(folder / steps[-1].report, folder, dirs_exist_ok=True)
        audit = session.audit() if wanted else "left out"
    return _write(folder, search, steps, audit)


def lines_of(found: Capacity) -> Iterator[str]:
    """The result as text."""
    for step in found.steps:
        yield _line(step)
    if found.scale is None:
        yield "no scale was carried"
    else:
        yield f"carries     {found.scale:g} % of the profile"


def _step(found: Summary, scale: float, name: str, *, repeat: bool) -> CapacityStep:
    orders = found.figures.latency_us.get("order")
    return CapacityStep(
        scale=scale,
        held=found.complete and found.valid and all(each.holds for each in found.thresholds),
        repeat=repeat,
        valid=found.valid,
        complete=found.complete,
        planned_per_s=found.planned_per_s,
        done_per_s=found.done_per_s,
        order_p99_us=None if orders is None else orders.p99,
        errors_percent=found.errors_percent,
        report=name,
    )


def _line(step: CapacityStep) -> str:
    p99 = "-" if step.order_p99_us is None else f"{step.order_p99_us / 1_000:.1f} ms"
    notes = [
        *(["again"] if step.repeat else []),
        *([] if step.valid else ["INVALID: the generator was late"]),
        *([] if step.complete else ["incomplete"]),
    ]
    return (
        f"scale {step.scale:>7g} %  {step.done_per_s:>8,.0f}/s  p99 of orders {p99:>12}  "
        f"errors {step.errors_percent:.2f} %  {'holds' if step.held else 'DOES NOT HOLD'}"
        f"{'  (' + ', '.join(notes) + ')' if notes else ''}"
    )


def _write(folder: Path, search: Search, steps: list[CapacityStep], audit: Audit) -> Capacity:
    """Write the results after each step, so that an interrupted search keeps them."""
    found = Capacity(
        complete=search.next is None,
        scale=search.found,
        steps=steps,
        audit=audit,
        machine=this_machine(),
        commit=commit(),
    )
    raw = msgspec.json.format(msgspec.json.encode(found), indent=2)
    (folder / "capacity.json").write_bytes(raw + b"\n")
    return found
