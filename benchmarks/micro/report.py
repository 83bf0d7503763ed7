"""The results of a run as text and as JSON, and the comparison with the budgets. Pure."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from msgspec import Struct

from benchmarks.value_text import value_text
from loadgen.report.machine import Machine

SCHEMA_VERSION: Final = 1


class Figure(Struct, frozen=True):
    """One point of one curve over all repeats. `x` is None when there is no curve."""

    series: str
    unit: str
    x: int | None
    min: float
    median: float
    max: float
    samples: list[float]


class Budget(Struct, frozen=True):
    """A target, compared with the median at the largest `x`, or at the given `x`.

    `note` describes the scope of a budget that covers more than the figure.
    """

    benchmark: str
    series: str
    unit: str
    limit: float
    x: int | None = None
    note: str = ""

    @property
    def at_least(self) -> bool:
        """True if a larger value is better."""
        return self.unit.endswith("/s")


class BudgetVerdict(Struct, frozen=True):
    """A budget with its measured figure."""

    series: str
    unit: str
    x: int | None
    limit: float
    at_least: bool
    met: bool
    note: str


class Measured(Struct, frozen=True):
    """One benchmark. `complete` is False if it was interrupted or failed; earlier repeats count.

    `seconds`: the duration of the measurement, including its preparation.
    """

    name: str
    title: str
    x: str
    complete: bool
    seconds: float
    figures: list[Figure]
    verdicts: list[BudgetVerdict]


class BenchmarkReport(Struct, frozen=True):
    """A whole run. `notes`: what could not be measured and why, and any problems found.

    `load`: the load average of the minute before; a high value means that other programs ran.
    """

    schema_version: int
    scale: str
    complete: bool
    repeats: int
    seed: int
    gc: str
    machine: Machine
    load: float
    commit: str
    started: str
    seconds: float
    benchmarks: list[Measured]
    notes: list[str]


# Targets of the design on two cores that all processes share.
BUDGETS: Final = (
    Budget("engine.mixed", "engine alone", "commands/s", 300_000),
    Budget("kafka.matcher", "one core", "commands/s", 100_000),
    Budget("sink.rows", "into PostgreSQL", "rows/s", 50_000),
    Budget(
        "snapshot",
        "restore",
        "ns",
        5e9,
        note="a whole restart with 10 M commands in the log: benchmarks.soak",
    ),
    Budget("trip.process", "answer p50", "ns", 8e6, 700, "at 100 % of B3"),
    Budget("trip.process", "answer p99", "ns", 25e6, 700, "at 100 % of B3"),
    Budget("trip.fsync", "answer p99", "ns", 50e6, 700, "at 100 % of B3"),
)


def figure(series: str, unit: str, x: int | None, samples: Sequence[float]) -> Figure:
    """The median of at least one sample."""
    found = list(samples)
    return Figure(series, unit, x, min(found), median(found), max(found), found)


def verdicts(
    name: str, figures: Sequence[Figure], budgets: Sequence[Budget] = BUDGETS
) -> list[BudgetVerdict]:
    """The budgets of the benchmark that have a figure."""
    judged = []
    for budget in budgets:
        fitting = [
            one
            for one in figures
            if budget.benchmark == name
            and (one.series, one.unit) == (budget.series, budget.unit)
            and budget.x in (None, one.x)
        ]
        if fitting:
            judged.append(_judge(budget, max(fitting, key=lambda one: one.x or 0)))
    return judged


def _judge(budget: Budget, one: Figure) -> BudgetVerdict:
    met = one.median >= budget.limit if budget.at_least else one.median <= budget.limit
    return BudgetVerdict(
        one.series, one.unit, one.x, budget.limit, budget.at_least, met, budget.note
    )


def as_text(report: BenchmarkReport) -> Iterator[str]:
    """A table as text, one line per figure."""
    on = report.machine
    yield f"{report.scale}: {report.repeats} repeats, seed {report.seed}, {report.seconds:.0f} s"
    yield f"{on.cpu}, {on.cores} cores, {on.system}, Python {on.python}, load {report.load:.2f}"
    yield f"commit {report.commit or 'unknown'}; garbage collector {report.gc}"
    for measured in report.benchmarks:
        yield ""
        yield from table(measured)
    yield ""
    yield from (f"NOTE: {note}" for note in report.notes)
    judged = [(m.name, v) for m in report.benchmarks for v in m.verdicts]
    yield f"budgets: {sum(v.met for _, v in judged)} of {len(judged)} met"
    yield from (f"  {name}: {verdict_text(verdict)}" for name, verdict in judged)


def table(measured: Measured) -> Iterator[str]:
    """The lines of one benchmark."""
    unfinished = "" if measured.complete else "  (incomplete)"
    yield f"{measured.name}: {measured.title}{unfinished}"
    yield f"  {'':<40}{measured.x:>22}{'min':>22}{'median':>22}{'max':>22}"
    for one in measured.figures:
        place = "" if one.x is None else f"{one.x:,}"
        values = "".join(f"{value_text(v, one.unit):>22}" for v in (one.min, one.median, one.max))
        beside = [
            f"  {verdict_text(v)}"
            for v in measured.verdicts
            if (v.series, v.unit, v.x) == (one.series, one.unit, one.x)
        ]
        yield f"  {one.series:<40}{place:>22}{values}{''.join(beside)}"


def verdict_text(verdict: BudgetVerdict) -> str:
    """`budget >= 300,000 commands/s: met`."""
    sign = ">=" if verdict.at_least else "<="
    met = "met" if verdict.met else "MISSED"
    note = f" ({verdict.note})" if verdict.note else ""
    return f"budget {sign} {value_text(verdict.limit, verdict.unit)}: {met}{note}"
