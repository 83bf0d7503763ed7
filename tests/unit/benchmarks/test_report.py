"""Benchmark reports: units, budgets met or missed, and one page that opens offline."""

import re
from html.parser import HTMLParser

import msgspec
import pytest

from benchmarks.micro.page import page
from benchmarks.micro.registry import ENTRIES
from benchmarks.micro.report import (
    BUDGETS,
    SCHEMA_VERSION,
    BenchmarkReport,
    Budget,
    as_text,
    figure,
    verdicts,
)
from benchmarks.value_text import value_text
from tests.unit.benchmarks.reports import FIGURES, make_report


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.0, "ns", "12 ns"),
        (1_234.0, "ns", "1.234 us"),
        (8e6, "ns", "8 ms"),
        (2.5e9, "ns", "2.5 s"),
        (1_500.0, "ns/fill", "1.5 us/fill"),
        (300_000.0, "commands/s", "300,000 commands/s"),
        (0.0, "ns", "0 ns"),
    ],
)
def test_values_are_formatted_in_the_unit_with_few_digits(
    value: float, unit: str, text: str
) -> None:
    assert value_text(value, unit) == text


def test_budget_of_a_rate_is_compared_with_the_median_at_the_end_of_the_curve() -> None:
    (verdict,) = verdicts("engine.mixed", FIGURES)
    assert (verdict.x, verdict.at_least, verdict.met) == (450, True, False)


@pytest.mark.parametrize(("limit", "met"), [(99.0, False), (100.0, True)])
def test_budget_of_a_time_is_compared_at_its_own_x(limit: float, met: bool) -> None:
    figures = [figure("p99", "ns", x, [10.0 * x]) for x in (1, 10, 100)]
    (verdict,) = verdicts("trip", figures, [Budget("trip", "p99", "ns", limit, x=10)])
    assert (verdict.x, verdict.at_least, verdict.met) == (10, False, met)


@pytest.mark.parametrize(
    "budget",
    [
        Budget("other", "p99", "ns", 1.0),
        Budget("trip", "p50", "ns", 1.0),
        Budget("trip", "p99", "us", 1.0),
        Budget("trip", "p99", "ns", 1.0, x=2),
    ],
)
def test_budget_without_its_figure_is_not_judged(budget: Budget) -> None:
    assert verdicts("trip", [figure("p99", "ns", 1, [5.0])], [budget]) == []


def test_every_budget_belongs_to_an_existing_benchmark() -> None:
    assert {budget.benchmark for budget in BUDGETS} <= {entry.name for entry in ENTRIES}


def test_table_contains_every_figure_the_verdicts_and_the_notes() -> None:
    text = "\n".join(as_text(make_report()))
    assert re.search(r"engine alone +450 +100,000 commands/s +200,000 .*MISSED", text)
    assert "budgets: 0 of 1 met" in text
    assert "NOTE: no <other> engine was measured" in text
    assert "incomplete" not in text
    assert "incomplete" in "\n".join(as_text(make_report(complete=False)))


def test_json_is_read_back_and_has_its_version_and_every_sample() -> None:
    raw = msgspec.json.encode(make_report())
    assert msgspec.json.decode(raw, type=BenchmarkReport) == make_report()
    plain = msgspec.json.decode(raw)
    assert plain["schema_version"] == SCHEMA_VERSION
    assert set(plain) == {
        *("schema_version", "scale", "complete", "repeats", "seed", "gc", "machine", "commit"),
        *("load", "started", "seconds", "benchmarks", "notes"),
    }
    (first, _) = plain["benchmarks"]
    assert first["figures"][0] == {
        "series": "engine alone",
        "unit": "commands/s",
        "x": 5,
        "min": 310_000.0,
        "median": 320_000.0,
        "max": 400_000.0,
        "samples": [400_000.0, 310_000.0, 320_000.0],
    }


class _Tags(HTMLParser):
    # Records open tags, URLs that would be fetched, and charts.

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.charts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.charts += tag == "svg"
        self.fetched += [name for name, _ in attrs if name in {"src", "href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_opens_offline_with_a_chart_for_each_benchmark() -> None:
    text = page(make_report(complete=False))
    tags = _Tags()
    tags.feed(text)
    assert (tags.open, tags.fetched, tags.charts) == ([], [], 2)
    assert "<script" not in text
    assert "url(" not in text
    assert "INTERRUPTED" in text
    assert "no &lt;other&gt; engine" in text
    assert 'class="missed"' in text
