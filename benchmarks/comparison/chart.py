"""The comparison as one chart: p99 of orders over the share of B3, both axes logarithmic. Pure.

Latencies span four powers of ten; a linear axis would show only the slowest design.
"""

from collections.abc import Iterator
from html import escape
from math import log10
from typing import Final

from benchmarks.comparison.entries import ENTRIES
from benchmarks.comparison.results import Comparison, Point, Result

WIDTH: Final = 860
HEIGHT: Final = 470
LEFT, RIGHT, TOP, BOTTOM = 70, 560, 56, 400
MS_LEAST, MS_MOST = 1.0, 100_000.0
# The p99 limit of the capacity search, drawn as a line.
LIMIT_MS: Final = 50.0


def svg(found: Comparison) -> str:
    """The complete SVG document."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            _text(LEFT, 24, "p99 of orders, milliseconds, at a share of B3's rate", bold=True),
            *_grid(found),
            *(line for result in found.results for line in _curve(result, found.scales)),
            *_legend(found.results),
            "</svg>\n",
        ]
    )


def _x(scale: float, scales: list[float]) -> float:
    low, high = log10(min(scales)), log10(max(scales))
    share = (log10(scale) - low) / (high - low) if high > low else 0.5
    return LEFT + 20 + share * (RIGHT - LEFT - 40)


def _y(ms: float) -> float:
    bounded = min(MS_MOST, max(MS_LEAST, ms))
    share = log10(bounded / MS_LEAST) / log10(MS_MOST / MS_LEAST)
    return BOTTOM - share * (BOTTOM - TOP)


def _grid(found: Comparison) -> Iterator[str]:
    for power in range(6):
        y = _y(10.0**power)
        yield _line((LEFT, y), (RIGHT, y), "#dddddd")
        yield _text(LEFT - 8, y + 4, f"{10**power:,}", anchor="end")
    yield _line((LEFT, _y(LIMIT_MS)), (RIGHT, _y(LIMIT_MS)), "#888888", dashed=True)
    yield _text(RIGHT - 4, _y(LIMIT_MS) - 5, "50 ms: carried", anchor="end", colour="#666666")
    for scale in found.scales:
        x = _x(scale, found.scales)
        yield _line((x, TOP), (x, BOTTOM), "#eeeeee")
        yield _text(x, BOTTOM + 20, f"{scale:g} %", anchor="middle")
    machine = found.machine
    told = f"{machine.cpu}, {machine.cores} cores, {found.started_at[:10]}"
    yield _text(LEFT, HEIGHT - 16, told, colour="#666666")


def _curve(result: Result, scales: list[float]) -> Iterator[str]:
    points = [(point, point.p99_us) for point in result.points if point.scale in scales]
    places = [
        (_x(point.scale, scales), _y(us / 1_000), point) for point, us in points if us is not None
    ]
    colour = ENTRIES[result.name].colour
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
    for x, y, point in places:
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" stroke="{colour}" stroke-width="2" '
            f'fill="{colour if _clean(point) else "white"}"/>'
        )


def _clean(point: Point) -> bool:
    return point.errors_percent <= 1 and not point.note


def _legend(results: list[Result]) -> Iterator[str]:
    x, y = RIGHT + 24, TOP + 10
    for result in results:
        yield _line((x, y - 4), (x + 22, y - 4), ENTRIES[result.name].colour, width=3)
        yield _text(x + 30, y, ENTRIES[result.name].title.replace("`", ""), bold=True)
        carried = "-" if result.capacity is None else f"{result.capacity:g} % of B3"
        yield _text(x + 30, y + 18, f"carries {carried}", colour="#444444")
        if result.losses is not None:
            lost = f"{result.losses.lost} of {result.losses.acknowledged:,} lost by kill -9"
            yield _text(x + 30, y + 35, lost, colour="#444444")
        y += 62
    yield _text(x, y + 6, "hollow: errors or an unfinished run", colour="#666666")


def _line(
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    *,
    width: int = 1,
    dashed: bool = False,
) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="{colour}" stroke-width="{width}"{dash}/>'
    )


def _text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    bold: bool = False,
    colour: str = "#111111",
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>'
        f"{escape(words)}</text>"
    )
