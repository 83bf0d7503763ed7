"""Figures as SVG text, to stand inside of a page that opens offline: lines over two axes, and bars.

Pure: numbers and names in, markup out; nothing is fetched, no script is needed. Text takes the
page's colour, so a chart fits a light and a dark page.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from msgspec import Struct

WIDTH: Final = 640
HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 44, 44
_BAR, _BAR_GAP, _NAME = 18, 8, 220
# Told apart by people who see colours differently, too; from the seventh on, by their dashes.
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES: Final = ("", "6 3", "2 3", "8 3 2 3")
_TICKS = 5
_LETTER, _ROW = 6.6, 18


class Axis(Struct, frozen=True):
    """A logarithmic one shows only what is more than 0. A linear one begins at 0 if `from_zero`."""

    label: str
    log: bool = False
    from_zero: bool = True


class Series(Struct, frozen=True):
    """Points (x, y) in the order they are joined."""

    name: str
    points: tuple[tuple[float, float], ...]


class Mark(Struct, frozen=True):
    """A line across the chart at this y, such as a budget."""

    name: str
    y: float


class _Scale(Struct, frozen=True):
    # From values to a place between `start` and `end` on the page.
    axis: Axis
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        low, high, value = (self._flat(one) for one in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def _flat(self, value: float) -> float:
        return math.log10(value) if self.axis.log else value

    def ticks(self) -> list[float]:
        if not self.axis.log:
            return _linear_ticks(self.low, self.high)
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        step = max(1, (last - first) // _TICKS)
        return [10.0**power for power in range(first, last + 1, step)]


def lines(
    title: str, series: Sequence[Series], x: Axis, y: Axis, marks: Sequence[Mark] = ()
) -> str:
    """A chart of lines with their points, whose exact values are told on pointing at them."""
    shown = [_within(one, x, y) for one in series]
    marks = [mark for mark in marks if not y.log or mark.y > 0]
    xs = [point[0] for one in shown for point in one.points]
    ys = [point[1] for one in shown for point in one.points]
    if not xs:
        return _svg(title, HEIGHT, [_text(WIDTH / 2, HEIGHT / 2, "no figures", "middle")])
    legend = _legend([one.name for one in shown])
    height = HEIGHT + _ROW * (legend[-1].row if legend else 0)
    across = _scale(x, xs, _LEFT, WIDTH - _RIGHT)
    up = _scale(y, ys + [mark.y for mark in marks], height - _BOTTOM, height - HEIGHT + _TOP)
    parts = [*_grid(across, up)]
    for mark in marks:
        parts.append(_mark(mark, up))
    for number, one in enumerate(shown):
        parts += _line(one, number, across, up)
    parts += [entry.markup(number) for number, entry in enumerate(legend)]
    return _svg(title, height, parts)


def bars(title: str, named: Sequence[tuple[str, float]], unit: str) -> str:
    """One bar beside each name, all from 0, each with its value."""
    height = _TOP + len(named) * (_BAR + _BAR_GAP)
    most = max((value for _, value in named), default=0.0) or 1.0
    parts: list[str] = []
    for number, (name, value) in enumerate(named):
        top = _TOP + number * (_BAR + _BAR_GAP) - _BAR_GAP
        width = max(0.0, value) / most * (WIDTH - _NAME - 130)
        middle = top + _BAR * 0.72
        parts.append(_text(_NAME - 8, middle, name, "end"))
        parts.append(
            f'<rect x="{_NAME}" y="{top}" width="{width:.1f}" height="{_BAR}" '
            f'fill="{COLOURS[0]}"><title>{escape(name)}: {value:g} {escape(unit)}</title></rect>'
        )
        parts.append(_text(_NAME + width + 6, middle, f"{short(value)} {unit}", "start"))
    return _svg(title, height, parts)


def short(value: float) -> str:
    """A number in few letters: 1.5k, 20M, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _within(series: Series, x: Axis, y: Axis) -> Series:
    """Without the points that a logarithmic axis has no place for."""
    kept = (
        point
        for point in series.points
        if (not x.log or point[0] > 0) and (not y.log or point[1] > 0)
    )
    return Series(series.name, tuple(kept))


def _scale(axis: Axis, values: Sequence[float], start: float, end: float) -> _Scale:
    low, high = min(values), max(values)
    if axis.log:
        low = 10.0 ** math.floor(math.log10(low))
        high = 10.0 ** math.ceil(math.log10(high))
        return _Scale(axis, low, high if high > low else low * 10, start, end)
    low = min(0.0, low) if axis.from_zero else low
    return _Scale(axis, low, high if high > low else low + 1, start, end)


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(n for n in (1, 2, 5, 10) if n * power >= rough)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _grid(across: _Scale, up: _Scale) -> Iterator[str]:
    top, bottom = up.end, up.start
    for value in up.ticks():
        y = up.at(value)
        yield _rule(_LEFT, y, WIDTH - _RIGHT, y)
        yield _text(_LEFT - 6, y + 4, short(value), "end")
    for value in across.ticks():
        x = across.at(value)
        yield _rule(x, top, x, bottom)
        yield _text(x, bottom + 16, short(value), "middle")
    yield _text((_LEFT + WIDTH - _RIGHT) / 2, bottom + _BOTTOM - 8, across.axis.label, "middle")
    yield _text(8, top - 8, up.axis.label, "start")


def _line(one: Series, number: int, across: _Scale, up: _Scale) -> Iterator[str]:
    places = [(across.at(x), up.at(y)) for x, y in one.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline points="{path}" fill="none" stroke-width="2" {_stroke(number)}/>'
    for (x, y), (left, top) in zip(one.points, places, strict=True):
        told = f"{escape(one.name)}: {short(y)} at {short(x)}"
        yield (
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" fill="{_colour(number)}">'
            f"<title>{told}</title></circle>"
        )


def _mark(mark: Mark, up: _Scale) -> str:
    y = up.at(mark.y)
    line = (
        f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" '
        'stroke="currentColor" stroke-dasharray="4 4"/>'
    )
    return line + _text(WIDTH - _RIGHT, y - 4, mark.name, "end")


class _Entry(Struct, frozen=True):
    # A name in the legend, which has as many rows as it needs.
    name: str
    x: float
    row: int

    def markup(self, number: int) -> str:
        y = 20 + _ROW * self.row
        place = f'x1="{self.x:.0f}" y1="{y}" x2="{self.x + 18:.0f}" y2="{y}"'
        stroke = f'<line {place} stroke-width="3" {_stroke(number)}/>'
        return stroke + _text(self.x + 22, y + 4, self.name, "start")


def _legend(names: Sequence[str]) -> list[_Entry]:
    entries: list[_Entry] = []
    x, row = float(_LEFT), 0
    for name in names:
        wide = 36 + _LETTER * len(name)
        if x + wide > WIDTH and x > _LEFT:
            x, row = float(_LEFT), row + 1
        entries.append(_Entry(name, x, row))
        x += wide
    return entries


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _stroke(number: int) -> str:
    dash = _DASHES[number // len(COLOURS) % len(_DASHES)]
    return f'stroke="{_colour(number)}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    where = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {where} stroke="currentColor" stroke-opacity="0.15"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">'
        f"{escape(words)}</text>"
    )


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">'
        + "".join(parts)
        + "</svg>"
    )
