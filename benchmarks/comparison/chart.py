"""The comparison as one chart: p99 of orders over the share of B3, both axes logarithmic. Pure.

Latencies span four powers of ten; a linear axis would show only the slowest design.
"""

from typing import Final

from benchmarks.comparison.entries import ENTRIES
from benchmarks.comparison.results import Comparison, ScalePoint, SystemResult
from loadgen.report.charts import Axis, Mark, Series, svg_file

# Fixed, so that two charts can be laid side by side; a point beyond is drawn at the edge.
MS_TICKS: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
# The p99 limit of the capacity search, drawn as a line.
LIMIT_MS: Final = 50.0


def svg(found: Comparison) -> str:
    """The complete SVG document."""
    machine = found.machine
    return svg_file(
        "p99 of orders at a share of B3's rate",
        [_series(result, found.scales) for result in found.results],
        Axis("share of B3's rate", log=True, ticks=found.scales, unit=" %"),
        Axis("p99 of orders, ms", log=True, ticks=MS_TICKS),
        marks=[Mark("50 ms: carried", LIMIT_MS)],
        notes=[
            "hollow: errors or an unfinished run",
            f"{machine.cpu},",
            f"{machine.cores} cores, {found.started_at[:10]}",
        ],
    )


def _series(result: SystemResult, scales: list[float]) -> Series:
    points = [
        (point, point.p99_us / 1_000)
        for point in result.points
        if point.scale in scales and point.p99_us is not None
    ]
    entry = ENTRIES[result.name]
    return Series(
        entry.title.replace("`", ""),
        [(point.scale, p99_ms) for point, p99_ms in points],
        colour=entry.colour,
        hollow=[number for number, (point, _) in enumerate(points) if not _clean(point)],
        details=_details(result),
    )


def _clean(point: ScalePoint) -> bool:
    return point.errors_percent <= 1 and not point.note


def _details(result: SystemResult) -> list[str]:
    carried = "-" if result.capacity is None else f"{result.capacity:g} % of B3"
    lines = [f"carries {carried}"]
    if result.losses is not None:
        lines.append(f"{result.losses.lost} of {result.losses.acknowledged:,} lost by kill -9")
    return lines
