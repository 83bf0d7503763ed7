"""Axes that people can read, and lines that stay inside of them."""

import re

import pytest

from loadgen.charts import HEIGHT, WIDTH, Axis, Series, line_chart, number

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
def test_axis_goes_in_round_steps_to_the_largest_value(most: float, expected: list[str]) -> None:
    assert labels(line_chart("t", [Series("a", [(0, 0), (1, most)])], X, Y)) == expected


def test_logarithmic_axis_goes_in_powers_of_ten() -> None:
    text = line_chart("t", [Series("a", [(0, 0.5), (1, 250), (2, 0)])], X, Axis("ms", log=True))
    assert labels(text) == ["0.1", "1", "10", "100", "1,000"]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places(text))


def test_chart_leaves_out_what_has_no_points_and_escapes_names() -> None:
    text = line_chart("a < b", [Series("<x>", [(0, 1), (1, 2)]), Series("none", [])], X, Y)
    assert "&lt;x&gt;" in text
    assert "none" not in text
    assert "a &lt; b" in text
    assert "Nothing to show" in line_chart("t", [Series("none", [])], X, Y)


def test_single_point_is_a_dot() -> None:
    assert "<circle" in line_chart("t", [Series("a", [(0, 1)])], X, Y)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "0.25"), (3, "3"), (12.6, "13"), (1_500, "1,500")]
)
def test_number_is_as_short_as_it_can_be(value: float, text: str) -> None:
    assert number(value) == text
