"""Figures of a run by the second, and their CSV."""

import csv
import io

from loadgen.client.record import NOT_SENT, TIMED_OUT, RequestRecord, RequestResult
from loadgen.report.resources import Usage, UsageSample
from loadgen.report.seconds import Load, as_csv, loads, per_second

LINES = [
    RequestRecord("order", 100_000, 101_000, 200_000, RequestResult(201), 0, "a"),
    RequestRecord("order", 900_000, 905_000, 1_200_000, RequestResult(201), 0, "b"),
    RequestRecord(
        "read_price", 1_100_000, 1_100_000, 1_150_000, RequestResult(404, "no_trades"), 0, ""
    ),
    RequestRecord("cancel", 1_500_000, 1_500_000, 1_500_000, RequestResult(NOT_SENT), 0, ""),
    RequestRecord("order", 1_600_000, 1_600_000, 3_600_000, RequestResult(TIMED_OUT), 0, "c"),
]
SAMPLES = [
    UsageSample(-0.1, {"gateway": Usage(10.0, 100)}),
    UsageSample(1.0, {"gateway": Usage(10.55, 200), "late": Usage(1.0, 5)}),
    UsageSample(2.0, {"gateway": Usage(11.55, 300)}),
]


def test_seconds_count_requests_due_sent_done_and_in_flight() -> None:
    seconds = per_second([line.intended_us for line in LINES], LINES)
    assert [(s.planned, s.sent, s.done, s.in_flight) for s in seconds] == [
        (2, 2, 1, 1), (3, 2, 2, 1), (0, 0, 0, 1), (0, 0, 1, 0),
    ]  # fmt: skip
    assert [s.kinds for s in seconds] == [
        {"ok": 1}, {"expected": 1, "ok": 1, "not_sent": 1}, {}, {"timeout": 1},
    ]  # fmt: skip


def test_seconds_have_latency_in_the_second_the_request_was_due() -> None:
    first, second, *_ = per_second([], LINES)
    assert first.latency_us["order"].max == 300_000
    assert first.send_lag_us is not None
    assert first.send_lag_us.max == 5_000
    assert second.latency_us["order"].max == 2_000_000
    assert second.latency_us["all"].count == 2
    assert "cancel" not in second.latency_us


def test_seconds_of_no_requests_are_none() -> None:
    assert per_second([], []) == []


def test_loads_are_differences_between_samples() -> None:
    found = loads(SAMPLES)
    assert set(found) == {"gateway"}
    assert found["gateway"][1] == Load(100.0, 300)
    assert round(found["gateway"][0].cpu_percent) == 50


def test_csv_has_a_row_per_second_and_a_cell_for_each_heading() -> None:
    text = as_csv(per_second([line.intended_us for line in LINES], LINES), SAMPLES)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["second"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[0]["order_p99_ms"] == "300.0"
    assert rows[0]["cancel_p99_ms"] == ""
    assert rows[1]["expected"] == "1"
    assert rows[1]["gateway cpu_percent"] == "100.0"
    assert rows[3]["gateway memory_bytes"] == ""
    assert all(None not in row and None not in row.values() for row in rows)
