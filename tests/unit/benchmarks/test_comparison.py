"""Table and chart of a comparison: they contain every figure and mark what is invalid."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from msgspec import structs

from benchmarks.comparison.__main__ import main
from benchmarks.comparison.chart import svg
from benchmarks.comparison.results import Comparison, Losses, ScalePoint, SystemResult, read, write
from benchmarks.comparison.table import markdown
from loadgen.report.machine import Machine

FINE = ScalePoint(
    scale=50,
    p50_us=4_200,
    p99_us=18_000,
    errors_percent=0.0,
    done_per_s=660.0,
    cpu_us_per_request=1_234,
    memory_bytes=300 << 20,
)
COLD = structs.replace(FINE, p50_us=90_000, p99_us=320_000)
BAD = structs.replace(FINE, scale=100, p99_us=2_500_000, errors_percent=7.5)


def make_comparison(complete: bool = True) -> Comparison:
    return Comparison(
        machine=Machine("Some CPU", 2, 8 << 30, "Linux 6", "3.11.7"),
        commit="abc",
        started_at="2026-11-25T10:00:00.000Z",
        duration_s=30,
        scales=[50, 100],
        results=[
            SystemResult("v1", True, [FINE, BAD], 66.0, "", Losses(5, 900, 0), cold=COLD),
            SystemResult(
                "v3", False, [structs.replace(FINE, p99_us=9_000)], None, "", Losses(5, 900, 7)
            ),
        ],
        complete=complete,
    )


def rows(page: str) -> dict[str, list[str]]:
    cells = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| V")]
    return {first: rest for first, *rest in cells}


def test_table_of_a_comparison_contains_each_figure() -> None:
    page = markdown(make_comparison())
    assert rows(page) == {
        "V1": [
            *("66", "90.0 / 320", "4.2 / 18.0", "4.2 / 2,500\\*"),
            *("1,234 us", "300 MiB", "0 of 900", "hold"),
        ],
        "V3": ["-", "-", "4.2 / 9.0", "-", "1,234 us", "300 MiB", "7 of 900", "BROKEN"],
    }
    assert "Some CPU, 2 cores" in page
    assert "Not finished" not in page


def test_table_of_an_unfinished_comparison_is_marked() -> None:
    assert "Not finished" in markdown(make_comparison(complete=False))


def test_table_of_a_late_generator_marks_the_run() -> None:
    found = make_comparison()
    found.results[0].points[0] = structs.replace(FINE, note="the generator was late")
    assert rows(markdown(found))["V1"][2] == "4.2 / 18.0†"


def test_table_without_the_scale_of_costs_uses_the_nearest_lower_scale() -> None:
    found = make_comparison()
    found.results[0].points = [structs.replace(FINE, scale=10), BAD]
    assert rows(markdown(found))["V1"][4] == "1,234 us (at 10 %)"


def test_chart_shows_every_point_and_system() -> None:
    drawing = svg(make_comparison())
    ET.fromstring(drawing)  # noqa: S314 - our own text
    assert drawing.count("<circle") == 3
    # The run with errors is drawn as a hollow point.
    assert len(re.findall(r'<circle[^>]*fill="white"', drawing)) == 1
    assert "carries 66 % of B3" in drawing
    assert "7 of 900 lost by kill -9" in drawing


def test_chart_without_measurements_is_valid() -> None:
    found = structs.replace(make_comparison(), results=[SystemResult("v1")])
    ET.fromstring(svg(found))  # noqa: S314 - our own text
    markdown(found)


def test_comparison_read_back_is_drawn_the_same(tmp_path: Path) -> None:
    write(tmp_path / "results.json", make_comparison())
    assert read(tmp_path / "results.json") == make_comparison()
    assert main(["--draw", str(tmp_path / "results.json"), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "comparison.md").read_text() == markdown(make_comparison())
    assert (tmp_path / "comparison.svg").read_text() == svg(make_comparison())


def test_comparison_is_good_only_when_complete_and_all_systems_conform() -> None:
    broken, unfinished = make_comparison(), make_comparison(complete=False)
    fine = structs.replace(broken, results=broken.results[:1])
    unfinished.results.pop()
    assert [found.good for found in (broken, fine, unfinished)] == [False, True, False]


@pytest.mark.parametrize(
    "arguments", [["--duration", "0"], ["--only", "v4"], ["--only", ""], ["--speed", "9"]]
)
def test_compare_with_invalid_options_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2


def test_compare_given_a_missing_file_to_draw_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--draw", str(tmp_path / "results.json"), "--out", str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
