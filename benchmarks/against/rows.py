"""Figures of two checkouts side by side: medians, spread and ratio of each row. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Final

from msgspec import Struct

from benchmarks.value_text import value_text
from loadgen.report.machine import Machine

SCHEMA_VERSION: Final = 1
# Two equal checkouts have the same one ahead in n rounds with a chance of 2^(1-n): 6 % in 5 rounds.
VERDICT_ROUNDS_LEAST: Final = 5
# Units of which more is better, besides everything per second.
MORE_IS_BETTER: Final = ("% of B3",)


class Row(Struct, frozen=True):
    """One figure. `x`: the size or rate that it was measured at; None: there is only one."""

    benchmark: str
    series: str
    unit: str
    x: float | None = None

    @property
    def more_is_better(self) -> bool:
        """True for rates and capacities, False for times, CPU and memory."""
        return self.unit.endswith("/s") or self.unit in MORE_IS_BETTER


Figures = Mapping[Row, float]


class ComparedRow(Struct, frozen=True):
    """A row with the figures of each round, in order, of this and of the other checkout."""

    row: Row
    this: list[float]
    other: list[float]
    this_median: float
    other_median: float
    this_spread_percent: float
    other_spread_percent: float
    ratio: float | None
    ratio_min: float | None
    ratio_max: float | None

    @property
    def verdict(self) -> str:
        """`better` or `worse` if this checkout was so in every one of enough rounds; else empty."""
        if self.ratio_min is None or self.ratio_max is None:
            return ""
        if len(self.this) < VERDICT_ROUNDS_LEAST or self.ratio_min <= 1 <= self.ratio_max:
            return ""
        return "better" if (self.ratio_min > 1) == self.row.more_is_better else "worse"


class Against(Struct, frozen=True, kw_only=True):
    """The stored result. `only_this`, `only_other`: figures that one checkout does not have."""

    schema_version: int = SCHEMA_VERSION
    complete: bool
    rounds: int
    started: str
    machine: Machine
    this_commit: str
    other_commit: str
    rows: list[ComparedRow]
    only_this: list[Row]
    only_other: list[Row]


def compared(rounds: Sequence[tuple[Figures, Figures]]) -> list[ComparedRow]:
    """The rows that both checkouts have in every round. A round is a pair (this, other)."""
    rows = [
        row
        for row in (rounds[0][0] if rounds else {})
        if all(row in side for pair in rounds for side in pair)
    ]
    return [
        compare_row(row, [this[row] for this, _ in rounds], [other[row] for _, other in rounds])
        for row in rows
    ]


def compare_row(row: Row, this: list[float], other: list[float]) -> ComparedRow:
    """The ratio is the median of the rounds' ratios, because both sides of a round ran together."""
    ratios = [one / two for one, two in zip(this, other, strict=True) if two]
    whole = len(ratios) == len(this)
    return ComparedRow(
        row=row,
        this=this,
        other=other,
        this_median=median(this),
        other_median=median(other),
        this_spread_percent=spread_percent(this),
        other_spread_percent=spread_percent(other),
        ratio=median(ratios) if whole else None,
        ratio_min=min(ratios) if whole else None,
        ratio_max=max(ratios) if whole else None,
    )


def spread_percent(values: Sequence[float]) -> float:
    """The range of the values, in per cent of their median."""
    middle = median(values)
    return 100 * (max(values) - min(values)) / middle if middle else 0.0


def missing(rounds: Sequence[tuple[Figures, Figures]], side: int) -> list[Row]:
    """Rows of one side (0 this, 1 other) that the other side never has."""
    have = dict.fromkeys(row for pair in rounds for row in pair[side])
    return [row for row in have if not any(row in pair[1 - side] for pair in rounds)]


def table(found: Against) -> Iterator[str]:
    """The result as text, one line a row."""
    on = found.machine
    yield f"{on.cpu}, {on.cores} cores, {on.system}, Python {on.python}, {found.started}"
    yield (
        f"this {found.this_commit or 'unknown'}, other {found.other_commit or 'unknown'}; "
        f"medians of {found.rounds} rounds in turns; spread: range in per cent of the median; "
        "ratio: this / other"
    )
    benchmark = ""
    for each in found.rows:
        if each.row.benchmark != benchmark:
            benchmark = each.row.benchmark
            yield ""
            yield f"{benchmark:<38}{'this':>18}{'spread':>8}{'other':>18}{'spread':>8}  ratio"
        yield _line(each)
    for name, rows in (("this", found.only_this), ("the other", found.only_other)):
        for row in rows:
            yield f"NOTE: only {name} checkout has {row.benchmark}: {_name(row)}, {row.unit}"
    if not found.complete:
        yield "INCOMPLETE: not all rounds were measured"


def _line(each: ComparedRow) -> str:
    unit = each.row.unit
    ratio = "-"
    if each.ratio is not None:
        ratio = f"{each.ratio:.3f} ({each.ratio_min:.3f} to {each.ratio_max:.3f})  {each.verdict}"
    return (
        f"  {_name(each.row):<36}{value_text(each.this_median, unit):>18}"
        f"{each.this_spread_percent:>6.1f} %{value_text(each.other_median, unit):>18}"
        f"{each.other_spread_percent:>6.1f} %  {ratio}"
    ).rstrip()


def _name(row: Row) -> str:
    return row.series if row.x is None else f"{row.series} at {row.x:,g}"
