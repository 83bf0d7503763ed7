"""`make compare`: measure the simpler designs and this exchange alike, and write one page.

For each: 1. start it alone with separate servers, 2. run it cold, 3. check the trading rules,
4. run it warm at each share of B3, 5. find its capacity, 6. kill it under load and count the lost
orders. The results are written to disk after every step.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.comparison.chart import svg
from benchmarks.comparison.entries import ENTRIES
from benchmarks.comparison.losses import losses
from benchmarks.comparison.measure import (
    COLD_SCALE,
    MeasureError,
    capacity,
    cold_point,
    point,
    rules_hold,
)
from benchmarks.comparison.results import Comparison, ScalePoint, SystemResult, read, write
from benchmarks.comparison.systems import SystemUnderTest, running
from benchmarks.comparison.table import markdown
from infra.errors import InfraError
from loadgen.client.setup import SetupError
from loadgen.report.machine import commit, this_machine
from schemas.units import rfc3339
from services.local.signals import quiet_kafka, stoppable, temporary_data_dir
from services.runtime.clock import now_ms
from services.runtime.errors import ExchangeError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
REPORTS = Path(".local/compare")
PAGE, CHART, RESULTS = "comparison.md", "comparison.svg", "results.json"
# Start of the capacity search: the scale then grows by half, or halves.
CAPACITY_START = 25.0
PAGES = Path("docs")


class ComparisonPlan(Struct, frozen=True):
    """The steps for each system."""

    scales: tuple[float, ...] = (10, 25, 50, 75, 100)
    cold_s: int = 20
    duration_s: int = 30
    capacity_s: int = 15
    kills: int = 5


QUICK = ComparisonPlan((10, 50, 100), 3, 5, 5, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = _options(arguments)
    quiet_kafka()
    if options.draw is not None:
        return _draw_again(options.draw, options.out or PAGES)
    steps = QUICK if options.quick else ComparisonPlan()
    if options.duration is not None:
        steps = msgspec.structs.replace(
            steps, duration_s=options.duration, capacity_s=max(3, options.duration // 2)
        )
    folder = options.report or REPORTS / time.strftime("%Y%m%d-%H%M%S")
    # Only a complete comparison may replace the published page.
    out = options.out or (folder if options.quick or options.only else PAGES)
    found = Comparison(
        machine=this_machine(),
        commit=commit(),
        started_at=rfc3339(now_ms()),
        duration_s=steps.duration_s,
        scales=list(steps.scales),
    )
    keep = _Keeper(found, folder)
    try:
        with stoppable():
            for name in options.only or ENTRIES:
                _compare(name, steps, keep)
            found.complete = True
            keep.now()
            _draw(found, out)
    except KeyboardInterrupt:
        _say(f"interrupted; everything is stopped, what was found is in {folder / PAGE}")
        return EXIT_INTERRUPTED
    _say(f"{out / PAGE} and {out / CHART} are written")
    return 0 if found.good else EXIT_FAILED


class _Keeper:
    # Write all results after each new one.

    def __init__(self, found: Comparison, folder: Path) -> None:
        self.found = found
        self.folder = folder

    def now(self) -> None:
        write(self.folder / RESULTS, self.found)
        _draw(self.found, self.folder)


def _compare(name: str, steps: ComparisonPlan, keep: _Keeper) -> None:
    result = SystemResult(name)
    keep.found.results.append(result)
    title = ENTRIES[name].title.replace("`", "")
    _say(f"{title}: starting ...")
    try:
        with temporary_data_dir() as data_dir:
            try:
                with running(name, data_dir) as system:
                    _measure(system, result, steps, keep)
            finally:
                _keep_logs(data_dir / "logs", keep.folder / name / "logs")
    except (InfraError, ExchangeError, SetupError, MeasureError) as error:
        result.failure = str(error).splitlines()[0]
        _say(f"{title}: {error}")
    keep.now()


def _keep_logs(logs: Path, where: Path) -> None:
    if logs.is_dir():
        shutil.copytree(logs, where, dirs_exist_ok=True)


def _measure(
    system: SystemUnderTest, result: SystemResult, steps: ComparisonPlan, keep: _Keeper
) -> None:
    folder = keep.folder / result.name
    result.cold = cold_point(system, steps.cold_s, folder)
    _say_point(f"cold, {COLD_SCALE:g} %", result.cold)
    keep.now()
    _say("  the trading rules ...")
    result.rules_hold = rules_hold(system, folder)
    if not result.rules_hold:
        _say(f"  rules are broken, see {folder}/conformance.log")
    keep.now()
    for scale in steps.scales:
        found = point(system, scale, steps.duration_s, folder)
        result.points.append(found)
        _say_point(f"{scale:g} %", found)
        keep.now()
    _say("  how much it carries ...")
    result.capacity, result.capacity_note = capacity(
        system, CAPACITY_START, steps.capacity_s, folder, _say
    )
    keep.now()
    _say(f"  kill -9, {steps.kills} times ...")
    result.losses = losses(system, steps.kills)
    _say(f"  {result.losses.lost} of {result.losses.acknowledged:,} acknowledged orders are lost")


def _say_point(name: str, found: ScalePoint) -> None:
    p99 = "-" if found.p99_us is None else f"{found.p99_us / 1_000:,.1f} ms"
    _say(
        f"  {name} of B3: p99 of orders {p99}, {found.errors_percent:.1f} % errors, "
        f"{found.cpu_us_per_request:,} us of CPU a request {found.note}".rstrip()
    )


def _draw(found: Comparison, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / PAGE).write_text(markdown(found), encoding="utf-8")
    (out / CHART).write_text(svg(found), encoding="utf-8")


def _draw_again(results: Path, out: Path) -> int:
    try:
        _draw(read(results), out)
    except (OSError, ValueError) as error:
        _say(f"compare: {results} cannot be read: {error}")
        return EXIT_USAGE
    return 0


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = list(dict.fromkeys(text.split(",")))
        if unknown := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)}; known are {', '.join(known)}"
            )
        return found

    return names


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comparison",
        description="Measures three simpler designs and this exchange on this machine, "
        "one after the other in the same way, and writes a table and a chart.",
        epilog="Exit codes: 0 every system is measured and follows the trading rules; 1 one "
        "does not; 2 usage; 130 interrupted; the results so far are written.",
    )
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="short runs, to test the program; the figures do not count",
    )
    add("--duration", type=int, metavar="S", help="seconds of each run; default 30")
    add(
        "--only",
        type=_names(tuple(ENTRIES)),
        metavar="NAME,...",
        help=f"only these: {', '.join(ENTRIES)}",
    )
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder of table and chart; default {PAGES}; with --quick or --only that of --report",
    )
    add(
        "--report",
        type=Path,
        metavar="DIR",
        help=f"folder of all results; default {REPORTS}/<time>",
    )
    add(
        "--draw", type=Path, metavar="RESULTS", help="only draw table and chart from a results.json"
    )
    options = parser.parse_args(arguments)
    if options.duration is not None and options.duration < 1:
        parser.error("--duration must be at least 1 second")
    return options


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
