"""Figures of the feeds: percentiles, budgets, delays, and the options."""

from typing import Any

import msgspec
import pytest

from benchmarks.feeds.__main__ import main
from benchmarks.feeds.arrivals import delays_us, place_of_trade
from benchmarks.feeds.figures import FeedFigure, ratio, share_at, table, times
from schemas import ids


def test_percentiles_have_the_budgets_that_are_given() -> None:
    found = times("events", "raw", [n * 1_000 for n in range(1, 1_001)], {500: None, 990: 989.0})
    assert [(each.name, each.value, each.met) for each in found] == [
        ("raw, p50", 500.0, ""),
        ("raw, p99", 990.0, "missed"),
    ]
    assert times("events", "raw", [], {990: 1.0}) == []


def test_budget_includes_its_limit() -> None:
    reference = FeedFigure("stalled", "own", 2.0, "ms")
    for value, met in ((2.2, "met"), (2.4, "missed")):
        found = ratio(FeedFigure("stalled", "own", value, "ms"), reference, "x without", 1.1)
        assert (found.unit, found.met, round(found.value, 9)) == ("x", met, value / 2)


@pytest.mark.parametrize(
    ("share", "bound"), [(0.5, 0.001), (0.9, 0.001), (0.901, 0.005), (0.999, 0.005), (1.0, 9.0)]
)
def test_bound_of_a_share_is_the_first_bucket_that_has_it(share: float, bound: float) -> None:
    buckets = [(0.0005, 100.0), (0.001, 900.0), (0.005, 999.0), (9.0, 1_000.0)]
    assert share_at(buckets, share) == bound


def test_delay_is_counted_from_the_record_of_the_command() -> None:
    place = place_of_trade(ids.trade_id(1_000, 3, 1042, 7))
    assert place == (3, 1042)
    stored = {place: 5_000}
    # An event of a command that was stored before the log was read has no delay.
    arrived = [(place, 5_700), (place, 4_999), ((0, 1), 9_000)]
    assert delays_us(arrived, stored) == [700, 0]


def test_table_has_a_row_for_each_figure_with_its_budget() -> None:
    rows = list(
        table(
            [
                FeedFigure("idle", "memory of a stream", 18.5, "KiB", 25.0),
                FeedFigure("idle", "streams, opened", 10_000, "streams"),
            ]
        )
    )
    assert " ".join(rows[0].split()) == "idle memory of a stream 18.5 KiB <= 25 KiB met"
    assert rows[1].split() == ["idle", "streams,", "opened", "10,000", "streams"]


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["idle", "--seconds", "0"], ["idle", "--scale", "-1"]]
)
def test_unusable_options_are_refused(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m benchmarks.feeds" in capsys.readouterr().err


def test_figure_is_json_with_its_budget() -> None:
    raw = msgspec.json.encode(FeedFigure("idle", "memory of a stream", 18.5, "KiB", 25.0))
    assert msgspec.json.decode(raw)["limit"] == 25.0
