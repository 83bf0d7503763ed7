"""`python -m benchmarks.micro`: run the benchmarks, print the results and write them to files.

An interruption keeps the results so far and ends every server that was started.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct, structs
from rich.console import Console

from benchmarks.micro.context import Context, Servers
from benchmarks.micro.errors import BenchError
from benchmarks.micro.harness import FULL, GC_STATE, QUICK, Scale, as_in_the_services, run
from benchmarks.micro.page import page
from benchmarks.micro.registry import ENTRIES, Entry, chosen
from benchmarks.micro.report import SCHEMA_VERSION, Measured, Report, as_text, verdicts
from infra.errors import InfraError
from loadgen.client.setup import SetupError
from loadgen.report.machine import commit, this_machine
from services.local.signals import quiet_kafka, stoppable, temporary_data_dir
from services.runtime.errors import ExchangeError

SEED = 1
# Seconds between progress lines in a log file; a terminal shows every step.
PLAIN_INTERVAL_S = 5.0
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
    report = Report(
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
        done.notes.append("other engines were not asked for")
    try:
        with stoppable(), as_in_the_services(), closing(_Progress()) as progress:
            _all(entries, scale, done, progress)
    except KeyboardInterrupt:
        done.exit_code = EXIT_INTERRUPTED
        done.notes.append("interrupted; the rest was not measured")
    seconds = (datetime.now(UTC) - started).total_seconds()
    _write(structs.replace(report, complete=not done.exit_code, seconds=seconds), options)
    return done.exit_code


def _write(report: Report, options: argparse.Namespace) -> None:
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
        epilog="Exit codes: 0 all was measured, budgets met or not; 1 something did not do what "
        "it measures; 2 usage; 3 a server could not be started; 130 interrupted.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="shorter curves and fewer repeats: two minutes")
    add("--only", nargs="+", default=[], metavar="NAME", help="such as: engine codec.decode trip")
    add("--list", action="store_true", help="name the benchmarks, and end")
    add("--repeats", type=int, help="of every point (default: 7, --quick 3)")
    add(
        "--peers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure other engines from the package index too, installed apart at the first run",
    )
    add("--json", type=Path, metavar="FILE", help="write every figure there")
    add("--html", type=Path, metavar="FILE", help="write a page with the curves there")
    options = parser.parse_args(arguments)
    if options.repeats is not None and options.repeats < 1:
        parser.error("repeats must be at least 1")
    for file in filter(None, (options.json, options.html)):
        if not file.resolve().parent.is_dir() or file.is_dir():
            parser.error(f"{file}: no file can be written there")
    return options


def _all(entries: Sequence[Entry], scale: Scale, done: Run, progress: "_Progress") -> None:
    with ExitStack() as ending:
        folder = ending.enter_context(temporary_data_dir())
        servers = Servers(folder, ending, progress.tell)
        for number, entry in enumerate(entries):
            progress.begin(f"{number + 1}/{len(entries)} {entry.name}")
            try:
                one(entry, scale, servers, done, progress.tell)
            except (BenchError, ExchangeError) as error:
                done.exit_code = done.exit_code or EXIT_FAILED
                done.notes.append(f"{entry.name} FAILED: {error}")
            except (InfraError, SetupError, OSError) as error:
                done.exit_code = done.exit_code or EXIT_INFRA
                done.notes.append(f"{entry.name} WAS NOT MEASURED: {error}")


def one(
    entry: Entry, scale: Scale, servers: Servers, done: Run, tell: Callable[[str], None]
) -> None:
    """Measure a benchmark; after an interruption or failure its repeats are kept as incomplete."""
    begun = time.monotonic()
    measured = Measured(entry.name, entry.title, "", False, 0.0, [], [])
    with ExitStack() as ending:
        context = Context(scale, servers, ending, tell)
        try:
            benchmark = entry.make(context)
            for figures in run(benchmark, scale.repeats, tell):
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


class _Progress:
    """Progress output: one line that is rewritten on a terminal, otherwise an occasional line."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._name = ""
        self._told_at = 0.0

    def begin(self, name: str) -> None:
        """Start the next benchmark."""
        self._name = name
        self._write("")

    def tell(self, text: str) -> None:
        """Show the current step."""
        if self._console.is_terminal or time.monotonic() > self._told_at + PLAIN_INTERVAL_S:
            self._write(text)

    def _write(self, text: str) -> None:
        self._told_at = time.monotonic()
        line = f"{self._name} {text}".rstrip()
        if self._console.is_terminal:
            sys.stderr.write(f"\r\x1b[2K{line[: self._console.width - 1]}")
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Complete or clear the current line."""
        if self._console.is_terminal:
            self._name = ""
            self._write("")


if __name__ == "__main__":
    sys.exit(main())
