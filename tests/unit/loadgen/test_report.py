"""Report figures computed by hand: percentiles, kinds of answers, errors."""

import pytest

from loadgen.client.record import (
    ABANDONED,
    NO_ANSWER,
    NOT_SENT,
    TIMED_OUT,
    Operation,
    Records,
    RequestRecord,
    RequestResult,
)
from loadgen.report.report import as_text, percentile, percentiles, report


def line(operation: Operation, answer: RequestResult, done_us: int = 3_000) -> RequestRecord:
    return RequestRecord(operation, 1_000, 1_500, done_us, answer, 0, "c")


@pytest.mark.parametrize(
    ("per_mille", "expected"), [(0, 1), (500, 50), (900, 90), (990, 99), (999, 100), (1000, 100)]
)
def test_percentile_is_the_value_at_the_rank(per_mille: int, expected: int) -> None:
    assert percentile(range(1, 101), per_mille) == expected


def test_percentiles_of_no_values_are_none() -> None:
    assert percentiles([]) is None


@pytest.mark.parametrize(
    ("operation", "answer", "kind"),
    [
        ("order", RequestResult(201), "ok"),
        ("order", RequestResult(202), "ok"),
        ("order", RequestResult(200), "ok"),
        ("order", RequestResult(204), "unexpected"),
        ("cancel", RequestResult(204), "ok"),
        ("cancel", RequestResult(409, "too_late_to_cancel"), "expected"),
        ("order", RequestResult(409, "client_order_id_reused"), "unexpected"),
        ("cancel", RequestResult(404, "order_not_found"), "unexpected"),
        ("order", RequestResult(422, "invalid"), "unexpected"),
        ("order", RequestResult(429, "rate_limited"), "rate_limited"),
        ("order", RequestResult(503, "not_accepted"), "server_error"),
        ("order", RequestResult(504, "outcome_unknown"), "server_error"),
        ("order", RequestResult(NO_ANSWER), "transport"),
        ("order", RequestResult(TIMED_OUT), "timeout"),
        ("cancel", RequestResult(NOT_SENT), "not_sent"),
    ],
)
def test_answer_has_the_kind_of_its_status_and_code(
    operation: Operation, answer: RequestResult, kind: str
) -> None:
    assert line(operation, answer).kind == kind


def test_report_measures_latency_from_the_intended_time() -> None:
    found = report([line("order", RequestResult(201))], cpu_s=0.001)
    assert found.latency_us["order"].max == 2_000
    assert found.send_lag_us is not None
    assert found.send_lag_us.max == 500
    assert found.cpu_us_per_request == 1_000


def test_report_does_not_count_expected_answers_and_skipped_cancels_as_errors() -> None:
    lines = [
        line("order", RequestResult(201)),
        line("cancel", RequestResult(409, "too_late_to_cancel")),
        line("cancel", RequestResult(NOT_SENT)),
        line("order", RequestResult(503, "not_accepted")),
        line("order", RequestResult(TIMED_OUT)),
    ]
    found = report(lines, cpu_s=0)
    assert found.errors == 2
    assert found.kinds == {
        "expected": 1,
        "not_sent": 1,
        "ok": 1,
        "server_error": 1,
        "timeout": 1,
    }
    assert found.answers["order 503 not_accepted"] == 1
    assert found.latency_us["cancel"].count == 1


def test_report_of_a_late_generator_is_marked_late() -> None:
    late = RequestRecord("order", 0, 50_000, 60_000, RequestResult(201), 0, "c")
    assert report([late], 0).late
    assert not report([line("order", RequestResult(201))], 0).late
    assert any("send lag" in text for text in as_text(report([late], 0)))


def test_report_leaves_out_abandoned_requests_except_from_the_send_lag() -> None:
    found = report([line("order", RequestResult(201)), line("order", RequestResult(ABANDONED))], 0)
    assert found.latency_us["order"].count == found.latency_us["all"].count == 1
    assert (found.sent, found.errors, found.kinds["abandoned"]) == (2, 0, 1)


def test_report_has_the_maximum_of_requests_in_flight() -> None:
    spans = [(0, 10), (5, 20), (10, 30), (40, 50)]
    lines = [
        RequestRecord("order", 0, sent, done, RequestResult(201), 0, "c") for sent, done in spans
    ]
    assert report(lines, 0).in_flight_max == 2


def test_records_of_another_process_are_appended() -> None:
    records, other = Records(), Records()
    lines = [line("order", RequestResult(201, "", "id")), line("read_book", RequestResult(200)),
             line("cancel", RequestResult(409, "too_late_to_cancel", "id"))]  # fmt: skip
    records.add(lines[0])
    for each in lines:
        other.add(each)
    records.extend(other.batch(1))
    assert list(records) == lines


def test_records_return_the_lines_that_were_added() -> None:
    records = Records()
    lines = [
        line("order", RequestResult(201, "", "id-1")),
        line("cancel", RequestResult(404, "x"), 9_000),
    ]
    for each in lines:
        records.add(each)
    assert list(records) == lines
    assert list(records.since(1)) == lines[1:]
