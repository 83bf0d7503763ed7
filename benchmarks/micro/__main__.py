"""`python -m benchmarks.micro`: run the benchmarks, print the results and write them to files.

An interruption keeps the results so far and ends every server that was started.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from benchmarks.micro.context import Context, Servers
from benchmarks.micro.errors import BenchError
from benchmarks.micro.harness import FULL, GC_STATE, QUICK, Scale, run, with_service_gc
from benchmarks.micro.page import page
from benchmarks.micro.registry import ENTRIES, BenchmarkEntry, chosen
from benchmarks.micro.report import SCHEMA_VERSION, BenchmarkReport, Measured, as_text, verdicts
from infra.errors import InfraError
from loadgen.client.setup import SetupError
from loadgen.report.machine import commit, this_machine
from services.local.signals import quiet_kafka, stoppable, temporary_data_dir
from services.runtime.errors import ExchangeError
from services.runtime.progress import Progress, progress_on_stderr

SEED = 1
EXIT_FAILED = 1
EXIT_INFRA = 3
EXIT_INTERRUPTED = 130


class Run(Struct):
    """The results so far."""

    benchmarks: list[Measured] = []
    notes: list[str] = []
    exit_code: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when all requested benchmarks were measured, budgets met or not."""
    options = _options(arguments)
    if options.list:
        for entry in ENTRIES:
            sys.stdout.write(f"{entry.name:<16} {entry.title}\n")
        return 0
    try:
        entries = chosen(options.only, quick=options.quick, peers=options.peers)
    except ValueError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    quiet_kafka()
    scale = QUICK if options.quick else FULL
    if options.repeats:
        scale = structs.replace(scale, repeats=options.repeats)
    started, done = datetime.now(UTC), Run()
    report = BenchmarkReport(
        schema_version=SCHEMA_VERSION,
        scale=scale.name,
        complete=False,
        repeats=scale.repeats,
        seed=SEED,
        gc=GC_STATE,
        machine=this_machine(),
        load=os.getloadavg()[0],
        commit=commit(),
        started=started.isoformat(timespec="seconds"),
        seconds=0.0,
        benchmarks=done.benchmarks,
        notes=done.notes,
    )
    if not options.peers:
        done.notes.append("other engines were not requested")
    try:
        with stoppable(), with_service_gc(), progress_on_stderr() as progress:
            _all(entries, scale, done, progress)
    except KeyboardInterrupt:
        done.exit_code = EXIT_INTERRUPTED
        done.notes.append("interrupted; the rest was not measured")
    seconds = (datetime.now(UTC) - started).total_seconds()
    _write(structs.replace(report, complete=not done.exit_code, seconds=seconds), options)
    return done.exit_code


def _write(report: BenchmarkReport, options: argparse.Namespace) -> None:
    for line in as_text(report):
        sys.stdout.write(line + "\n")
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    if options.html:
        options.html.write_text(page(report), encoding="utf-8")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.micro",
        description="Measures each single operation of the exchange, with its curve as the work "
        "grows, on this machine. Servers that are needed are started and ended.",
        epilog="Exit codes: 0 everything was measured, whether budgets are met or not; 1 a "
        "benchmark did wrong work; 2 usage; 3 a server could not be started; 130 interrupted.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="shorter curves and fewer repeats: two minutes")
    add("--only", nargs="+", default=[], metavar="NAME", help="such as: engine codec.decode trip")
    add("--list", action="store_true", help="print the names of the benchmarks")
    add("--repeats", type=int, help="repeats of every point (default: 7, --quick 3)")
    add(
        "--peers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure other engines too; they are installed separately at the first run",
    )
    add("--json", type=Path, metavar="FILE", help="write every figure to this file")
    add("--html", type=Path, metavar="FILE", help="write a page with the curves to this file")
    options = parser.parse_args(arguments)
    if options.repeats is not None and options.repeats < 1:
        parser.error("repeats must be at least 1")
    for file in filter(None, (options.json, options.html)):
        if not file.resolve().parent.is_dir() or file.is_dir():
            parser.error(f"{file}: no file can be written there")
    return options


class CurrentBenchmark:
    """The benchmark that runs now, in the progress display."""

    def __init__(self, progress: Progress, benchmarks: int) -> None:
        self._progress = progress
        self._number, self._name = 0, ""
        progress.begin("benchmarks", benchmarks)

    def begin(self, number: int, name: str) -> None:
        """Start the next benchmark."""
        self._number, self._name = number, name
        self.show("")

    def show(self, text: str) -> None:
        """Show what the benchmark does."""
        self._progress.update(self._number, f"{self._name} {text}".rstrip())


def _all(entries: Sequence[BenchmarkEntry], scale: Scale, done: Run, progress: Progress) -> None:
    with ExitStack() as ending:
        folder = ending.enter_context(temporary_data_dir())
        current = CurrentBenchmark(progress, len(entries))
        servers = Servers(folder, ending, current.show)
        for number, entry in enumerate(entries):
            current.begin(number, entry.name)
            try:
                one(entry, scale, servers, done, current.show)
            except (BenchError, ExchangeError) as error:
                done.exit_code = done.exit_code or EXIT_FAILED
                done.notes.append(f"{entry.name} FAILED: {error}")
            except (InfraError, SetupError, OSError) as error:
                done.exit_code = done.exit_code or EXIT_INFRA
                done.notes.append(f"{entry.name} WAS NOT MEASURED: {error}")


def one(
    entry: BenchmarkEntry, scale: Scale, servers: Servers, done: Run, show: Callable[[str], None]
) -> None:
    """Measure a benchmark; after an interruption or failure its repeats are kept as incomplete."""
    begun = time.monotonic()
    measured = Measured(entry.name, entry.title, "", False, 0.0, [], [])
    with ExitStack() as ending:
        context = Context(scale, servers, ending, show)
        try:
            benchmark = entry.make(context)
            for figures in run(benchmark, scale.repeats, show):
                measured = structs.replace(
                    measured,
                    x=benchmark.x,
                    figures=figures,
                    verdicts=verdicts(entry.name, figures),
                )
            measured = structs.replace(measured, complete=True)
        finally:
            done.notes += context.notes
            if context.failed:
                done.exit_code = EXIT_FAILED
                done.notes += [f"{entry.name} FAILED: {text}" for text in context.failed]
            if measured.figures:
                seconds = time.monotonic() - begun
                done.benchmarks.append(structs.replace(measured, seconds=seconds))


if __name__ == "__main__":
    sys.exit(main())
