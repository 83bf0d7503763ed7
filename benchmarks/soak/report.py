"""A finished day as text and as JSON: samples, maxima, rates, disk usage, recoveries."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from benchmarks.soak.recovery import RecoveryStep
from benchmarks.soak.watch import DaySample

# Samples are thinned to about this many rows, so that the table fits a screen.
ROWS_MAX = 24
GIB = 1 << 30


class Rates(Struct, frozen=True):
    """Commands per second over the whole run, and rows per second into PostgreSQL."""

    matcher: float
    reader: float
    sink: float
    sink_rows: float


class DayReport(Struct, frozen=True):
    """The content of `--json`. `events`: commands by outcome; `disk_bytes` by folder."""

    seed: int
    machine: str
    orders: int
    cancels: int
    trades: int
    events: dict[str, int]
    written_s: float
    done_s: float
    rates: Rates
    cpu_s: dict[str, float]
    snapshots: str
    samples: list[DaySample]
    disk_bytes: dict[str, int]
    steps: list[RecoveryStep]
    failure: str

    @property
    def holds(self) -> bool:
        """True if everything that was requested succeeded."""
        return not self.failure and all(step.ok for step in self.steps)


def rates_of(samples: Sequence[DaySample], sink_rows: int) -> Rates:
    """Rates over the time in which each process had work."""

    def rate(name: str) -> float:
        positions = [(sample.at_s, int(getattr(sample, name))) for sample in samples]
        _, last = positions[-1]
        took_s = next(at_s for at_s, position in positions if position == last)
        return last / took_s if took_s else 0.0

    sink = rate("sink")
    stored = samples[-1].sink
    return Rates(rate("matcher"), rate("reader"), sink, sink * sink_rows / stored if stored else 0)


def as_text(report: DayReport) -> Iterable[str]:
    """The report as lines of text."""
    yield f"{report.orders:,} orders, {report.cancels:,} cancels, {report.trades:,} trades"
    yield (
        f"trades : orders 1 : {report.orders / max(1, report.trades):.2f}, "
        f"written in {report.written_s:.1f} s, everywhere after {report.done_s:.1f} s"
    )
    yield "outcomes: " + ", ".join(f"{kind} {n:,}" for kind, n in sorted(report.events.items()))
    rates = report.rates
    yield (
        f"matcher {rates.matcher:,.0f} commands/s, reader {rates.reader:,.0f} commands/s, "
        f"sink {rates.sink:,.0f} commands/s = {rates.sink_rows:,.0f} rows/s"
    )
    spent = (f"{name} {seconds:,.0f}" for name, seconds in sorted(report.cpu_s.items()))
    yield f"seconds of CPU: {', '.join(spent)}"
    yield f"snapshots: {report.snapshots}"
    yield ""
    yield from _table(report.samples)
    yield ""
    used = ", ".join(f"{name} {size / GIB:.2f}" for name, size in sorted(report.disk_bytes.items()))
    yield f"GiB on disk: {used}, all {sum(report.disk_bytes.values()) / GIB:.2f}"
    for step in report.steps:
        verdict = "" if step.ok else "  FAILED"
        memory = f"{step.memory_mib_max:,} MiB" if step.memory_mib_max else ""
        yield f"{step.name:<12} {step.seconds:>9.1f} s {memory:>11}  {step.detail}{verdict}"
    if report.failure:
        yield f"FAILED: {report.failure}"


def _table(samples: Sequence[DaySample]) -> Iterable[str]:
    if not samples:
        return
    names = sorted({name for sample in samples for name in sample.memory_mib})
    heads = ["s", "log", "matcher", "reader", "sink", "open", "held", *names, "ours MiB"]
    yield "".join(f"{head:>12}" for head in heads)
    step = max(1, len(samples) // ROWS_MAX)
    for sample in [*samples[:-1:step], samples[-1]]:
        yield _row(f"{sample.at_s:,.0f}", _figures(sample, names))
    figures = [_figures(sample, names) for sample in samples]
    yield _row("max", [max(column) for column in zip(*figures, strict=True)])


def _figures(sample: DaySample, names: Sequence[str]) -> list[int]:
    return [
        sample.log,
        sample.matcher,
        sample.reader,
        sample.sink,
        sample.open_orders,
        sample.reader_orders,
        *(sample.memory_mib.get(name, 0) for name in names),
        sample.ours_mib,
    ]


def _row(head: str, figures: Sequence[int]) -> str:
    return f"{head:>12}" + "".join(f"{figure:>12,}" for figure in figures)
