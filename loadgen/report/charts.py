"""Charts as self-contained SVG text with axes and legend; they need only `STYLE`. Pure."""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

from msgspec import Struct

WIDTH: Final = 720
HEIGHT: Final = 260
LEFT, RIGHT, TOP, BOTTOM = 62, 26, 12, 34
# Colours that are distinguishable for the colour-blind, in light and dark.
COLOURS: Final = (
    "#0077bb", "#ee7733", "#009988", "#cc3311", "#aa4499", "#999933", "#33bbee", "#777777",
)  # fmt: skip
TICKS: Final = 5
# Lines with so few points show each point with its value.
DOTS_MAX: Final = 12
BAR, NAME, VALUE = 20, 230, 110

# Style that a page with charts must include.
STYLE: Final = """
figure { margin: 0 } figcaption span { margin-right: 1.2em; white-space: nowrap }
figcaption i { display: inline-block; width: .8em; height: .8em; margin-right: .35em }
svg { width: 100%; font-size: 11px } svg text { fill: currentColor }
svg line { stroke: var(--line) } svg line.mark { stroke: currentColor; stroke-dasharray: 4 4 }
svg polyline { fill: none; stroke-width: 1.6 }
.mid { text-anchor: middle } .end { text-anchor: end }
"""

Point = tuple[float, float]


class Series(Struct, frozen=True):
    """A named line; missing values leave out the point."""

    name: str
    points: Sequence[Point]


class Axis(Struct, frozen=True):
    """Labels of an axis. A logarithmic one begins at the power of ten below its smallest value."""

    label: str
    log: bool = False


class Mark(Struct, frozen=True):
    """A horizontal line at this value, such as a budget."""

    name: str
    y: float


class _Scale:
    """Maps values to pixels."""

    def __init__(self, axis: Axis, values: Sequence[float], first: float, last: float) -> None:
        self._log = axis.log
        self._first, self._last = first, last
        if axis.log:
            positive = [value for value in values if value > 0] or [1.0]
            self.least = 10.0 ** floor(log10(min(positive)))
            self.most = max(10.0 ** ceil(log10(max(positive))), self.least * 10)
            self.ticks = _powers(self.least, self.most)
        else:
            self.least = 0.0
            self.ticks = _steps(max(values, default=1.0))
            self.most = self.ticks[-1]

    def at(self, value: float) -> float:
        if self._log:
            value = max(value, self.least)
            part = log10(value / self.least) / log10(self.most / self.least)
        else:
            part = value / self.most
        return self._first + part * (self._last - self._first)


def line_chart(
    title: str, series: Sequence[Series], x: Axis, y: Axis, marks: Sequence[Mark] = ()
) -> str:
    """A line chart; without any point, a text that says so."""
    drawn = [each for each in series if each.points]
    if not drawn:
        return f"<figure><h3>{escape(title)}</h3><p>Nothing to show.</p></figure>"
    xs = _Scale(x, [p[0] for each in drawn for p in each.points], LEFT, WIDTH - RIGHT)
    upward = [p[1] for each in drawn for p in each.points] + [mark.y for mark in marks]
    ys = _Scale(y, upward, HEIGHT - BOTTOM, TOP)
    parts = [*_grid(xs, ys), *_labels(x, y), *(_mark(mark, ys) for mark in marks)]
    parts += (_line(each, _colour(number), xs, ys) for number, each in enumerate(drawn))
    legend = "".join(
        f'<span><i style="background:{_colour(number)}"></i>{escape(each.name)}</span>'
        for number, each in enumerate(drawn)
    )
    return (
        f"<figure><h3>{escape(title)}</h3>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg><figcaption>{legend}</figcaption></figure>"
    )


def _line(series: Series, colour: str, xs: _Scale, ys: _Scale) -> str:
    places = [f"{xs.at(x):.1f},{ys.at(y):.1f}" for x, y in series.points]
    name = escape(series.name)
    line = (
        f'<polyline points="{" ".join(places)}" stroke="{colour}"><title>{name}</title></polyline>'
    )
    if len(places) > DOTS_MAX:
        return line
    dots = (
        f'<circle cx="{xs.at(x):.1f}" cy="{ys.at(y):.1f}" r="3" fill="{colour}">'
        f"<title>{name}: {number(y)} at {number(x)}</title></circle>"
        for x, y in series.points
    )
    return (line if len(places) > 1 else "") + "".join(dots)


def _mark(mark: Mark, ys: _Scale) -> str:
    at = ys.at(mark.y)
    return (
        f'<line class="mark" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text x="{WIDTH - RIGHT}" y="{at - 4:.1f}" class="end">{escape(mark.name)}</text>'
    )


def bar_chart(title: str, bars: Sequence[tuple[str, float]], unit: str) -> str:
    """A bar chart: a bar for each name from 0, with its value."""
    most = max((value for _, value in bars), default=0.0) or 1.0
    parts: list[str] = []
    for place, (name, value) in enumerate(bars):
        top, wide = place * BAR, value / most * (WIDTH - NAME - VALUE)
        parts.append(f'<text x="{NAME - 8}" y="{top + 14}" class="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="{NAME}" y="{top + 3}" width="{wide:.1f}" height="{BAR - 6}" '
            f'fill="{COLOURS[0]}"/>'
        )
        told = f"{number(value)} {unit}"
        parts.append(f'<text x="{NAME + wide + 6:.1f}" y="{top + 14}">{escape(told)}</text>')
    return (
        f"<figure><h3>{escape(title)}</h3>"
        f'<svg viewBox="0 0 {WIDTH} {max(1, len(bars)) * BAR}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def _grid(xs: _Scale, ys: _Scale) -> list[str]:
    parts: list[str] = []
    for tick in ys.ticks:
        at = f"{ys.at(tick):.1f}"
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at}" dy="4" class="end">{number(tick)}</text>')
    for tick in xs.ticks:
        if xs.at(tick) <= WIDTH - RIGHT + 1:
            at = f"{xs.at(tick):.1f}"
            parts.append(
                f'<text x="{at}" y="{HEIGHT - BOTTOM + 16}" class="mid">{number(tick)}</text>'
            )
    return parts


def _labels(x: Axis, y: Axis) -> list[str]:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return [
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 3}" class="mid">{escape(x.label)}</text>',
        f'<text x="12" y="{middle}" class="mid" transform="rotate(-90 12 {middle})">'
        f"{escape(y.label)}</text>",
    ]


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _powers(least: float, most: float) -> list[float]:
    count = round(log10(most / least))
    return [least * 10.0**power for power in range(count + 1)]


def _steps(most: float) -> list[float]:
    """Round steps from 0 to at least `most`."""
    most = most or 1.0
    raw = most / TICKS
    unit = 10.0 ** floor(log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    return [step * count for count in range(ceil(most / step) + 1)]


def number(value: float) -> str:
    """A short number: 0.25, 10, 1,500."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.3g}"  # noqa: PLR2004
