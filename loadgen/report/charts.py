"""Charts as SVG text with axes and legend, for a page that includes `STYLE`, or as an SVG file.

Pure.
"""

from collections.abc import Collection, Iterator, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

from msgspec import Struct

# Colours that are distinguishable for the colour-blind, in light and dark.
COLOURS: Final = (
    "#0077bb", "#ee7733", "#009988", "#cc3311", "#aa4499", "#999933", "#33bbee", "#777777",
)  # fmt: skip
# The most steps of a linear axis that stay readable at this height.
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

# Style inside an SVG file: fixed colours, because the page around it is unknown.
FILE_STYLE: Final = """
text { fill: #111 } .detail { fill: #444 } .name { font-weight: bold }
line { stroke: #ddd } line.mark { stroke: #888; stroke-dasharray: 5 4 }
polyline { fill: none; stroke-width: 2.5 }
.mid { text-anchor: middle } .end { text-anchor: end }
"""
# Heights of a legend's line and of the gap between two entries of an SVG file, in pixels.
LEGEND_LINE, LEGEND_GAP = 18, 10

Plotted = tuple[float, float]


class Series(Struct, frozen=True):
    """A named line; missing values leave out the point.

    `hollow` are numbers of points that are drawn unfilled. `details` are lines of a file's legend.
    """

    name: str
    points: Sequence[Plotted]
    colour: str = ""
    hollow: Collection[int] = ()
    details: Sequence[str] = ()


class Axis(Struct, frozen=True):
    """Labels of an axis. A logarithmic one begins at the power of ten below its smallest value.

    With `ticks` the axis ends at the first and the last; values beyond are drawn at its ends.
    """

    label: str
    log: bool = False
    ticks: Sequence[float] = ()
    unit: str = ""


class Mark(Struct, frozen=True):
    """A horizontal line at this value, such as a budget."""

    name: str
    y: float


class Frame(Struct, frozen=True):
    """Size of a drawing and the edges of its chart, in pixels from the upper left corner."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


# A chart in a page.
PAGE: Final = Frame(720, 260, left=62, right=694, top=12, bottom=226)
# A chart as a file, with the title above and the legend to its right.
FILE: Final = Frame(860, 470, left=70, right=560, top=46, bottom=390)


class _Scale:
    """Maps values to pixels."""

    def __init__(self, axis: Axis, values: Sequence[float], first: float, last: float) -> None:
        self._log = axis.log
        self._first, self._last = first, last
        self.unit = axis.unit
        if axis.ticks:
            self.ticks = sorted(axis.ticks)
            self.least, self.most = self.ticks[0], self.ticks[-1]
        elif axis.log:
            positive = [value for value in values if value > 0] or [1.0]
            self.least = 10.0 ** floor(log10(min(positive)))
            self.most = max(10.0 ** ceil(log10(max(positive))), self.least * 10)
            self.ticks = _powers(self.least, self.most)
        else:
            self.least = 0.0
            self.ticks = _steps(max(values, default=1.0))
            self.most = self.ticks[-1]

    def at(self, value: float) -> float:
        value = min(max(value, self.least), self.most)
        if self.least == self.most:
            part = 0.5
        elif self._log:
            part = log10(value / self.least) / log10(self.most / self.least)
        else:
            part = (value - self.least) / (self.most - self.least)
        return self._first + part * (self._last - self._first)


def line_chart(
    title: str, series: Sequence[Series], x: Axis, y: Axis, marks: Sequence[Mark] = ()
) -> str:
    """A line chart, or a text if there are no points."""
    drawn = [each for each in series if each.points]
    if not drawn:
        return f"<figure><h3>{escape(title)}</h3><p>Nothing to show.</p></figure>"
    legend = "".join(
        f'<span><i style="background:{_colour(each, number)}"></i>{escape(each.name)}</span>'
        for number, each in enumerate(drawn)
    )
    return (
        f"<figure><h3>{escape(title)}</h3>"
        f'<svg viewBox="0 0 {PAGE.width} {PAGE.height}" role="img" aria-label="{escape(title)}">'
        f"{_plot(PAGE, drawn, x, y, marks)}</svg><figcaption>{legend}</figcaption></figure>"
    )


def svg_file(
    title: str,
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    *,
    marks: Sequence[Mark] = (),
    notes: Sequence[str] = (),
) -> str:
    """A line chart as a complete SVG document. `notes`: text below the legend."""
    box = FILE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{box.width}" height="{box.height}" '
        f'viewBox="0 0 {box.width} {box.height}" font-family="sans-serif" font-size="13">',
        f"<style>{FILE_STYLE}</style>",
        f'<rect width="{box.width}" height="{box.height}" fill="white"/>',
        f'<text x="{box.left}" y="24" class="name">{escape(title)}</text>',
        _plot(box, series, x, y, marks),
        *_legend(series, notes),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _legend(series: Sequence[Series], notes: Sequence[str]) -> Iterator[str]:
    left, down = FILE.right + 24, FILE.top + 10
    for number, each in enumerate(series):
        colour = _colour(each, number)
        yield f'<rect x="{left}" y="{down - 6}" width="22" height="3" fill="{colour}"/>'
        yield f'<text x="{left + 30}" y="{down}" class="name">{escape(each.name)}</text>'
        for detail in each.details:
            down += LEGEND_LINE
            yield f'<text x="{left + 30}" y="{down}" class="detail">{escape(detail)}</text>'
        down += LEGEND_LINE + LEGEND_GAP
    for note in notes:
        yield f'<text x="{left}" y="{down}" class="detail">{escape(note)}</text>'
        down += LEGEND_LINE


def _plot(frame: Frame, series: Sequence[Series], x: Axis, y: Axis, marks: Sequence[Mark]) -> str:
    """Grid, axes, marks and lines."""
    xs = _Scale(x, [p[0] for each in series for p in each.points], frame.left, frame.right)
    upward = [p[1] for each in series for p in each.points] + [mark.y for mark in marks]
    ys = _Scale(y, upward, frame.bottom, frame.top)
    parts = [*_grid(frame, xs, ys), *_labels(frame, x, y)]
    parts += (_mark(frame, mark, ys) for mark in marks)
    parts += (_line(each, _colour(each, number), xs, ys) for number, each in enumerate(series))
    return "".join(parts)


def _line(series: Series, colour: str, xs: _Scale, ys: _Scale) -> str:
    places = [f"{xs.at(x):.1f},{ys.at(y):.1f}" for x, y in series.points]
    name = escape(series.name)
    line = (
        f'<polyline points="{" ".join(places)}" stroke="{colour}"><title>{name}</title></polyline>'
    )
    if len(places) > DOTS_MAX:
        return line
    dots = (
        f'<circle cx="{xs.at(x):.1f}" cy="{ys.at(y):.1f}" r="3" stroke="{colour}" '
        f'fill="{"white" if place in series.hollow else colour}">'
        f"<title>{name}: {number(y)} at {number(x)}</title></circle>"
        for place, (x, y) in enumerate(series.points)
    )
    return (line if len(places) > 1 else "") + "".join(dots)


def _mark(frame: Frame, mark: Mark, ys: _Scale) -> str:
    at = ys.at(mark.y)
    return (
        f'<line class="mark" x1="{frame.left}" x2="{frame.right}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text x="{frame.right}" y="{at - 4:.1f}" class="end">{escape(mark.name)}</text>'
    )


def bar_chart(title: str, bars: Sequence[tuple[str, float]], unit: str) -> str:
    """A bar chart: a bar for each name from 0, with its value."""
    most = max((value for _, value in bars), default=0.0) or 1.0
    parts: list[str] = []
    for place, (name, value) in enumerate(bars):
        top, wide = place * BAR, value / most * (PAGE.width - NAME - VALUE)
        parts.append(f'<text x="{NAME - 8}" y="{top + 14}" class="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="{NAME}" y="{top + 3}" width="{wide:.1f}" height="{BAR - 6}" '
            f'fill="{COLOURS[0]}"/>'
        )
        label = f"{number(value)} {unit}"
        parts.append(f'<text x="{NAME + wide + 6:.1f}" y="{top + 14}">{escape(label)}</text>')
    return (
        f"<figure><h3>{escape(title)}</h3>"
        f'<svg viewBox="0 0 {PAGE.width} {max(1, len(bars)) * BAR}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def _grid(frame: Frame, xs: _Scale, ys: _Scale) -> Iterator[str]:
    for tick in ys.ticks:
        at = f"{ys.at(tick):.1f}"
        yield f'<line x1="{frame.left}" x2="{frame.right}" y1="{at}" y2="{at}"/>'
        label = f"{number(tick)}{ys.unit}"
        yield f'<text x="{frame.left - 6}" y="{at}" dy="4" class="end">{label}</text>'
    for tick in xs.ticks:
        at = f"{xs.at(tick):.1f}"
        yield (f'<text x="{at}" y="{frame.bottom + 16}" class="mid">{number(tick)}{xs.unit}</text>')


def _labels(frame: Frame, x: Axis, y: Axis) -> Iterator[str]:
    centre, middle = (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2
    yield f'<text x="{centre}" y="{frame.bottom + 31}" class="mid">{escape(x.label)}</text>'
    yield (
        f'<text x="12" y="{middle}" class="mid" transform="rotate(-90 12 {middle})">'
        f"{escape(y.label)}</text>"
    )


def _colour(series: Series, number: int) -> str:
    return series.colour or COLOURS[number % len(COLOURS)]


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
