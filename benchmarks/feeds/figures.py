"""Figures of the feeds, each with its budget, as text and JSON. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from msgspec import Struct

from benchmarks.value_text import value_text
from loadgen.report.machine import Machine
from loadgen.report.report import percentile

SCHEMA_VERSION: Final = 1
Met = Literal["met", "missed", ""]


class FeedFigure(Struct, frozen=True):
    """A figure of a line. `limit`: the budget, which the value may reach; None: it has none."""

    line: str
    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def met(self) -> Met:
        """Verdict on the budget; empty without one."""
        if self.limit is None:
            return ""
        return "met" if self.value <= self.limit else "missed"


class FeedsReport(Struct, frozen=True):
    """Content of the file of `--json`."""

    schema_version: int
    machine: Machine
    commit: str
    started_at: str
    scale: float | None
    seconds: int
    streams: int
    figures: list[FeedFigure]


def table(figures: Sequence[FeedFigure]) -> Iterator[str]:
    """A row for each figure."""
    for each in figures:
        value = value_text(each.value, each.unit)
        limit = "" if each.limit is None else f"<= {value_text(each.limit, each.unit)}"
        yield f"{each.line:<9} {each.name:<56} {value:>12}  {limit:<14} {each.met}".rstrip()


def times(
    line: str, name: str, values_us: Iterable[int], limits_ms: dict[int, float | None]
) -> list[FeedFigure]:
    """A figure for each percentile of `limits_ms`, in per mille; none without a value."""
    ordered = sorted(values_us)
    if not ordered:
        return []
    return [
        FeedFigure(
            line,
            f"{name}, p{per_mille / 10:g}",
            percentile(ordered, per_mille) / 1_000,
            "ms",
            limit,
        )
        for per_mille, limit in limits_ms.items()
    ]


def ratio(figure: FeedFigure, reference: FeedFigure, what: str, limit: float | None) -> FeedFigure:
    """The figure as a multiple of another one."""
    value = figure.value / max(reference.value, 1e-9)
    return FeedFigure(figure.line, f"{figure.name}, {what}", value, "x", limit)


def share_at(buckets: Sequence[tuple[float, float]], share: float) -> float:
    """The bound that at least this share of a histogram's values does not exceed. `buckets`: upper
    bounds, ascending, with the number of values up to each."""
    total = buckets[-1][1]
    return next(bound for bound, count in buckets if count >= share * total)
