"""Charts: markup that parses, every point in its place, nothing that a page would have to fetch."""

import xml.etree.ElementTree as ET

import pytest

from loadgen.charts import HEIGHT, WIDTH, Axis, Mark, Series, bars, lines, short

SVG = "{http://www.w3.org/2000/svg}"
LOG = Axis("orders", log=True)


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own markup


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def circles(root: ET.Element) -> list[tuple[float, float]]:
    return [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter(f"{SVG}circle")]


def span(root: ET.Element) -> float:
    ys = [y for _, y in circles(root)]
    return max(ys) - min(ys)


def test_lines_on_log_axes_put_equal_ratios_at_equal_distances() -> None:
    series = Series("ours", ((1, 10), (10, 100), (100, 1_000)))
    first, second, third = circles(parsed(lines("t", [series], LOG, Axis("ns", log=True))))
    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=0.2)
    assert first[1] - second[1] == pytest.approx(second[1] - third[1], abs=0.2)
    assert first[1] > third[1]


def test_lines_on_linear_axes_begin_at_zero_unless_told() -> None:
    series = Series("ours", ((0, 50), (10, 100)))
    (_, middle), (_, top) = circles(parsed(lines("t", [series], Axis("s"), Axis("ms"))))
    (_, bottom), _ = circles(parsed(lines("t", [series], Axis("s"), Axis("ms", from_zero=False))))
    assert top < middle < bottom


def test_lines_stay_on_the_page_with_marks_above_all_points() -> None:
    mark = Mark("budget", 1_000_000)
    root = parsed(lines("t", [Series("ours", ((1, 3), (7, 9)))], LOG, Axis("/s", log=True), [mark]))
    assert "budget" in texts(root)
    (dashed,) = (line for line in root.iter(f"{SVG}line") if "stroke-dasharray" in line.attrib)
    for x, y in [*circles(root), (0.0, float(dashed.attrib["y1"]))]:
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_lines_leave_out_what_a_log_axis_has_no_place_for() -> None:
    root = parsed(lines("t", [Series("ours", ((0, 5), (1, 0), (2, 5)))], LOG, Axis("ns", log=True)))
    assert len(circles(root)) == 1


@pytest.mark.parametrize("points", [(), ((5.0, 7.0),), ((5.0, 0.0), (6.0, 0.0))])
def test_lines_of_few_or_equal_points_are_still_a_chart(
    points: tuple[tuple[float, float], ...],
) -> None:
    assert len(circles(parsed(lines("t", [Series("one", points)], Axis("x"), Axis("y"))))) == len(
        points
    )


def test_names_are_escaped_and_nothing_is_fetched() -> None:
    told = lines("a<b", [Series("<script>&", ((1, 1),))], LOG, Axis('"ns"'))
    assert "<script>" not in told
    assert "<script>&" in texts(parsed(told))
    assert "href" not in told


@pytest.mark.parametrize("count", [1, 3, 12])
def test_legend_takes_rows_enough_for_every_name_and_the_chart_keeps_its_height(count: int) -> None:
    series = [Series(f"a name of some length {n}", ((1, 1), (2, 9))) for n in range(count)]
    root = parsed(lines("t", series, Axis("x"), Axis("y")))
    words = {t.text: t.attrib for t in root.iter(f"{SVG}text")}
    named = [words[one.name] for one in series]
    assert all(float(at["x"]) + 5 * len("a name of some length 1") <= WIDTH for at in named)
    assert len({(at["x"], at["y"]) for at in named}) == count
    top = min(y for _, y in circles(root))
    assert max(float(at["y"]) for at in named) < top
    alone = parsed(lines("t", series[:1], Axis("x"), Axis("y")))
    assert span(root) == pytest.approx(span(alone), abs=0.2)


def test_bars_are_as_long_as_their_values_and_tell_them() -> None:
    root = parsed(bars("t", [("json", 2_000.0), ("ours", 500.0), ("none", 0.0)], "ns"))
    widths = [float(rect.attrib["width"]) for rect in root.iter(f"{SVG}rect")]
    assert widths[0] == pytest.approx(4 * widths[1], abs=0.2)
    assert widths[2] == 0
    assert "2k ns" in texts(root)
    assert parsed(bars("t", [], "ns")).tag == f"{SVG}svg"


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (0.25, "0.25"), (999, "999"), (1_500, "1.5k"), (20e6, "20M"), (3e9, "3G")],
)
def test_short_numbers_keep_three_digits(value: float, told: str) -> None:
    assert short(value) == told
