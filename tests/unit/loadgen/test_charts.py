"""SVG charts: readable axes, and lines that stay inside of them."""

import re
from xml.etree import ElementTree

import pytest

from loadgen.report.charts import (
    DOTS_MAX,
    PAGE,
    Axis,
    Mark,
    Series,
    bar_chart,
    line_chart,
    number,
    svg_file,
)

X, Y = Axis("s"), Axis("ms")


def places(text: str) -> list[tuple[float, float]]:
    found = re.findall(r'points="([^"]*)"', text)
    return [
        (float(x), float(y))
        for line in found
        for x, y in (place.split(",") for place in line.split())
    ]


def labels(text: str) -> list[str]:
    return re.findall(r'class="end">([^<]*)<', text)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (7, ["0", "2", "4", "6", "8"]),
        (100, ["0", "20", "40", "60", "80", "100"]),
        (1_204, ["0", "500", "1,000", "1,500"]),
        (0.03, ["0", "0.01", "0.02", "0.03"]),
    ],
)
def test_axis_has_round_steps_up_to_the_largest_value(most: float, expected: list[str]) -> None:
    assert labels(line_chart("t", [Series("a", [(0, 0), (1, most)])], X, Y)) == expected


def test_logarithmic_axis_has_powers_of_ten() -> None:
    text = line_chart("t", [Series("a", [(0, 0.5), (1, 250), (2, 0)])], X, Axis("ms", log=True))
    assert labels(text) == ["0.1", "1", "10", "100", "1,000"]
    assert all(0 <= x <= PAGE.width and 0 <= y <= PAGE.height for x, y in places(text))


def test_chart_omits_series_without_points_and_escapes_names() -> None:
    text = line_chart("a < b", [Series("<x>", [(0, 1), (1, 2)]), Series("none", [])], X, Y)
    assert "&lt;x&gt;" in text
    assert "none" not in text
    assert "a &lt; b" in text
    assert "Nothing to show" in line_chart("t", [Series("none", [])], X, Y)


def test_single_point_is_drawn_as_a_dot() -> None:
    text = line_chart("t", [Series("a", [(0, 1)])], X, Y)
    assert text.count("<circle") == 1
    assert "<polyline" not in text


@pytest.mark.parametrize(("points", "dots"), [(2, 2), (DOTS_MAX, DOTS_MAX), (DOTS_MAX + 1, 0)])
def test_short_lines_show_their_points_with_their_values(points: int, dots: int) -> None:
    text = line_chart("t", [Series("a", [(n, 10 * n) for n in range(points)])], X, Y)
    assert text.count("<circle") == dots
    assert ("a: 10 at 1" in text) == bool(dots)


def test_points_of_equal_ratios_lie_at_equal_distances_on_logarithmic_axes() -> None:
    series = Series("a", [(1, 10), (10, 100), (100, 1_000)])
    first, second, third = places(line_chart("t", [series], Axis("n", True), Axis("ns", True)))
    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=0.2)
    assert first[1] - second[1] == pytest.approx(second[1] - third[1], abs=0.2)


@pytest.mark.parametrize("log", [False, True])
def test_mark_above_all_points_is_on_the_chart_with_its_name(log: bool) -> None:
    series = Series("a", [(1, 10), (2, 20)])
    text = line_chart("t", [series], X, Axis("ms", log), [Mark("budget <", 5_000)])
    (at,) = re.findall(r'class="mark" [^>]*y1="([^"]*)"', text)
    assert 0 <= float(at) < min(y for _, y in places(text))
    assert "budget &lt;" in text


def test_axis_with_given_ticks_draws_values_beyond_at_its_ends() -> None:
    axis = Axis("ms", log=True, ticks=(1, 10, 100), unit=" ms")
    text = line_chart("t", [Series("a", [(0, 0.1), (1, 1), (2, 5_000), (3, 100)])], X, axis)
    assert labels(text) == ["1 ms", "10 ms", "100 ms"]
    below, least, above, most = (y for _, y in places(text))
    assert (below, above) == (least, most)


def test_svg_file_is_well_formed_and_has_a_legend_with_details() -> None:
    series = Series("<a>", [(1, 1), (2, 2)], colour="#123456", hollow=[1], details=["x < 1"])
    text = svg_file("t", [series, Series("b", [])], X, Y, marks=[Mark("m", 1)], notes=["note"])
    ElementTree.fromstring(text)  # noqa: S314 - made here
    assert len(re.findall(r'<circle[^>]*fill="white"', text)) == 1
    for written in ("&lt;a&gt;", "x &lt; 1", ">b<", ">m<", ">note<"):
        assert written in text


def test_bars_have_the_length_of_their_values_and_show_them() -> None:
    text = bar_chart("t", [("<a>", 2_000.0), ("b", 500.0), ("c", 0.0)], "ns")
    first, second, third = map(float, re.findall(r'<rect[^>]* width="([^"]*)"', text))
    assert second == pytest.approx(first / 4, abs=0.1)
    assert third == 0
    assert "2,000 ns" in text
    assert "&lt;a&gt;" in text
    assert "<rect" not in bar_chart("t", [], "ns")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "0.25"), (3, "3"), (12.6, "13"), (1_500, "1,500")]
)
def test_number_is_written_as_short_as_possible(value: float, text: str) -> None:
    assert number(value) == text
