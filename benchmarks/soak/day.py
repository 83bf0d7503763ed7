"""One benchmark day in order: brokers, flow, figures, recoveries. Works on any fresh stack."""

import os
import platform
import shutil
from pathlib import Path

import uvloop
from msgspec import Struct, structs

from benchmarks.processes import metrics, pids, total
from benchmarks.soak.errors import DayError
from benchmarks.soak.flow import DayFlow, market_of
from benchmarks.soak.recovery import Limits, Recoveries, RecoveryStep, pauses
from benchmarks.soak.report import GIB, DayReport, rates_of
from benchmarks.soak.watch import DaySample, Watch
from benchmarks.soak.write import Pace, Written, write_day
from loadgen.client.setup import register
from loadgen.report.resources import Meter
from services.local.exchange import LocalExchange
from services.runtime.progress import Progress

# Bytes per order, measured over commands, executions, public topics, snapshots and PostgreSQL
# including its write-ahead log.
DISK_BYTES_PER_ORDER = 2_000
# Left free for logs, snapshots and the rest of the machine.
DISK_BYTES_LEAST = 3 * GIB


class DayOptions(Struct, frozen=True):
    """`steps`: names of recoveries, in order. `every_s`: seconds between two samples."""

    orders: int
    seed: int
    brokers: int
    symbols: int
    every_s: float
    pace: Pace
    steps: tuple[str, ...]
    limits: Limits


def require_disk(folder: Path, orders: int) -> None:
    """Raises DayError, with the largest scale that fits, when the disk is too small for the day."""
    free = shutil.disk_usage(folder).free - DISK_BYTES_LEAST
    needed = orders * DISK_BYTES_PER_ORDER
    if needed > free:
        raise DayError(
            f"{orders:,} orders take about {needed / GIB:.0f} GiB, {folder} has {free / GIB:.0f}: "
            f"{max(0, free // DISK_BYTES_PER_ORDER):,} orders fit"
        )


def run_day(stack: LocalExchange, options: DayOptions, progress: Progress) -> DayReport:
    """Run the day; the report's `failure` names what could not be finished."""
    registered = uvloop.run(register(stack.url, stack.admin_key, options.brokers))
    brokers = [broker.broker_id for broker in registered]
    market = market_of(brokers, stack.settings.partitions, options.symbols)
    flow = DayFlow(market, options.orders, options.seed)
    meter = Meter(pids(stack))
    watch = Watch(stack, options.every_s, DayProgress(progress, options.orders, flow).sample)
    written, failure = Written(0, 0, 0.0, 0.0), ""
    try:
        written = write_day(stack, flow, options.orders, watch, options.pace)
    except DayError as error:
        failure = str(error)
        progress.say(f"stopped early: {failure}")
    finally:
        watch.close()
    used = meter.spent()
    steps: list[RecoveryStep] = []
    report = _report(stack, options, watch, written, failure)
    if not failure:
        steps = _recover(stack, options, watch.latest.log, progress)
    cpu_s = {name: spent.cpu_s for name, spent in used.items()}
    return structs.replace(report, cpu_s=cpu_s, steps=steps)


def _recover(
    stack: LocalExchange, options: DayOptions, commands: int, progress: Progress
) -> list[RecoveryStep]:
    recoveries = Recoveries(stack, commands, options.limits)
    done: list[RecoveryStep] = []
    for name in options.steps:
        progress.say(f"{name} ...")
        for step in recoveries.run(name):
            done.append(step)
            progress.say(
                f"{step.name}: {step.seconds:.1f} s, {step.memory_mib_max:,} MiB, {step.detail}"
            )
    return done


def _report(
    stack: LocalExchange, options: DayOptions, watch: Watch, written: Written, failure: str
) -> DayReport:
    """All figures taken before the first recovery, because a restart resets the metrics."""
    matcher, sink = metrics(stack, "matcher"), metrics(stack, "sink")
    return DayReport(
        seed=options.seed,
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        orders=written.orders,
        cancels=written.cancels,
        # Not the topic's end: transaction markers have offsets too.
        trades=sum(
            int(metric.value)
            for metric in sink
            if metric.name == "exchange_sink_rows_total" and metric.labels["table"] == "trades"
        ),
        events={
            metric.labels["event"]: int(metric.value)
            for metric in matcher
            if metric.name == "exchange_commands_total"
        },
        written_s=written.written_s,
        done_s=written.done_s,
        rates=rates_of(watch.samples, total(sink, "exchange_sink_rows_total") or 0),
        cpu_s={},
        snapshots=pauses(stack),
        samples=watch.samples,
        disk_bytes=disk_bytes(stack),
        steps=[],
        failure=failure,
    )


def disk_bytes(stack: LocalExchange) -> dict[str, int]:
    """Bytes stored by the servers of this run, by topic and by PostgreSQL's folders."""
    found: dict[str, int] = {}
    for folder in (stack.data_dir / "kafka" / "log", stack.data_dir / "postgres" / "cluster"):
        for entry in folder.iterdir() if folder.is_dir() else ():
            name = f"postgres {entry.name}" if folder.name == "cluster" else _topic(entry.name)
            size = _size(entry)
            if size > GIB // 1_000:
                found[name] = found.get(name, 0) + size
    return found


def _topic(folder: str) -> str:
    """The topic of a log folder: `exchange.commands.v1-0` belongs to the topic without `-0`."""
    name, _, number = folder.rpartition("-")
    return name if number.isdecimal() and name else folder


def _size(entry: Path) -> int:
    # Blocks, not lengths: Kafka reserves space for indexes that it does not use.
    below = entry.rglob("*") if entry.is_dir() else [entry]
    total_bytes = 0
    for path in below:
        try:
            total_bytes += path.stat().st_blocks * 512
        except OSError:
            continue  # Kafka and PostgreSQL drop files while we look.
    return total_bytes


class DayProgress:
    """Shows each sample: positions of the processes, open orders and memory."""

    def __init__(self, progress: Progress, orders: int, flow: DayFlow) -> None:
        self._progress = progress
        self._orders = orders
        self._flow = flow
        progress.begin("soak", orders, "commands")

    def sample(self, now: DaySample) -> None:
        """Show a sample. Progress is that of the slowest process."""
        made, orders = self._flow.orders + self._flow.cancels, max(1, self._flow.orders)
        memory = "  ".join(f"{name} {mib:,}" for name, mib in now.memory_mib.items())
        self._progress.update(
            min(now.matcher, now.reader, now.sink),
            f"log {now.log:,}  matcher -{now.log - now.matcher:,}  "
            f"reader -{now.log - now.reader:,}  sink -{now.log - now.sink:,}  "
            f"open {now.open_orders:,}  MiB: {memory}",
            total=made * self._orders // orders,
        )
