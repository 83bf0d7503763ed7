"""The kinds of measurement: operations, a start and an idle exchange, a steady load, capacity.

Each runs programs of a checkout and reads the JSON that they write, by the names that all versions
of this project have in common.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from benchmarks.against.checkout import STOP_GRACE_S, Checkout, CheckoutError
from benchmarks.against.rows import Figures, Row
from infra.ports import free_port
from loadgen.report.resources import usage
from services.runtime.readiness import wait_ready

# A cold JVM and a new database on a busy machine; a start is seconds otherwise.
READY_TIMEOUT_S: Final = 180.0
# After the start, until caches, JIT compilers and background threads are quiet.
SETTLE_S: Final = 10.0
LOADGEN_INVALID: Final = 98
# Exit codes of `loadgen run` whose figures count: all well, late generator, missed threshold.
LOADGEN_GOOD: Final = (0, LOADGEN_INVALID, 99)
# Exit codes of `loadgen capacity`: a scale was found, or not even the smallest was carried.
CAPACITY_GOOD: Final = (0, 1)
# Latency figures of `summary.json` that are compared.
PERCENTILES: Final = ("p50", "p99", "max")


class KindOptions(Struct, frozen=True):
    """`only`, `repeats`, `full`: of the operations. `scale`, `seconds`: of load and idle time."""

    only: tuple[str, ...] = ("edge", "engine", "matcher")
    repeats: int = 1
    full: bool = False
    scale: float = 60.0
    seconds: int = 30


Found = TypeVar("Found")
Measure = Callable[[Checkout, KindOptions, Path], Figures]


class _MicroFigure(Struct):
    series: str
    unit: str
    x: int | None
    median: float


class _MicroBenchmark(Struct):
    name: str
    figures: list[_MicroFigure]


class _MicroReport(Struct):
    benchmarks: list[_MicroBenchmark]


class _LoadCost(Struct):
    cpu_us_per_request: float
    memory_bytes_max: float


class _LoadFigures(Struct):
    latency_us: dict[str, dict[str, float]]


class _LoadSummary(Struct):
    figures: _LoadFigures
    processes: dict[str, _LoadCost]
    errors_percent: float
    valid: bool


class _Capacity(Struct):
    complete: bool
    scale: float | None


def micro(checkout: Checkout, options: KindOptions, folder: Path) -> Figures:
    """Single operations: the median of each place of each curve."""
    file = folder / "bench.json"
    arguments = [checkout.micro, "--repeats", str(options.repeats), "--no-peers"]
    arguments += [] if options.full else ["--quick"]
    arguments += ["--only", *options.only, "--json", str(file)]
    checkout.run(arguments, folder / "bench.log")
    report = _read(file, _MicroReport)
    return {
        Row(benchmark.name, each.series, each.unit, each.x): each.median
        for benchmark in report.benchmarks
        for each in benchmark.figures
    }


def start(checkout: Checkout, options: KindOptions, folder: Path) -> Figures:
    """From the start of `exchange run` until it is ready; then CPU and memory of idle processes."""
    port = free_port()
    began_s = time.perf_counter()
    program = checkout.start(
        ["services.cli", "run", "--ephemeral"],
        folder / "run.log",
        {"EXCHANGE_PORT": str(port)},
    )
    try:
        url = f"http://127.0.0.1:{port}"
        reason = wait_ready(url, READY_TIMEOUT_S, ended=lambda: not program.alive)
        if reason is not None:
            raise CheckoutError(f"{checkout.root}: {reason}\n{program.tail_of_log(5)}")
        ready_s = time.perf_counter() - began_s
        time.sleep(SETTLE_S)
        before, before_s = usage(program.pid), time.perf_counter()
        time.sleep(options.seconds)
        after, after_s = usage(program.pid), time.perf_counter()
    finally:
        program.stop(grace_s=STOP_GRACE_S)
    cpu_percent = 100 * (after.cpu_s - before.cpu_s) / (after_s - before_s)
    return {
        Row("start", "until ready", "ns"): ready_s * 1e9,
        Row("idle", "CPU, all processes", "% of a core"): cpu_percent,
        Row("idle", "memory, all processes", "MiB"): after.memory_bytes / 2**20,
    }


def load(checkout: Checkout, options: KindOptions, folder: Path) -> Figures:
    """A fresh exchange, warmed up, at a steady scale: latency, CPU and memory."""
    report = folder / "load"
    arguments = ["loadgen", "run", "--scale", f"{options.scale:g}", "--no-audit"]
    arguments += ["--duration", str(options.seconds), "--report", str(report)]
    checkout.run(arguments, folder / "load.log", LOADGEN_GOOD)
    found = _read(report / "summary.json", _LoadSummary)
    rows = {
        Row("load", f"{name} {figure}", "ns", options.scale): times[figure] * 1e3
        for name, times in found.figures.latency_us.items()
        for figure in PERCENTILES
    }
    for name, cost in found.processes.items():
        rows[Row("load", f"{name}, CPU", "us/request", options.scale)] = cost.cpu_us_per_request
        memory_mib = cost.memory_bytes_max / 2**20
        rows[Row("load", f"{name}, memory", "MiB", options.scale)] = memory_mib
    rows[Row("load", "errors", "%", options.scale)] = found.errors_percent
    return rows


def capacity(checkout: Checkout, options: KindOptions, folder: Path) -> Figures:
    """The largest scale within the latency bound."""
    report = folder / "capacity"
    arguments = ["loadgen", "capacity", "--duration", str(options.seconds), "--no-audit"]
    arguments += ["--report", str(report)]
    checkout.run(arguments, folder / "capacity.log", CAPACITY_GOOD)
    found = _read(report / "capacity.json", _Capacity)
    if not found.complete:
        raise CheckoutError(f"{checkout.root}: the search for the capacity is incomplete")
    return {Row("capacity", "p99 of orders within 50 ms", "% of B3"): found.scale or 0.0}


def _read(file: Path, kind: type[Found]) -> Found:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        raise CheckoutError(f"{file.name}: no figures: {error}") from error


KINDS: Final[Mapping[str, Measure]] = {
    "micro": micro,
    "start": start,
    "load": load,
    "capacity": capacity,
}
