"""Summary of a run: exit code, stored form, comparison of two runs, and the page."""

import re
from xml.etree import ElementTree

import pytest
from msgspec import structs

from loadgen.client.record import NOT_SENT, TIMED_OUT, Records, RequestRecord, RequestResult
from loadgen.client.workers import INTERRUPTED, RunResult
from loadgen.report.compare import comparison
from loadgen.report.machine import Machine
from loadgen.report.page import page
from loadgen.report.resources import Usage, UsageSample
from loadgen.report.seconds import per_second
from loadgen.report.summary import (
    Audit,
    Config,
    RunContext,
    Summary,
    SummaryError,
    decode,
    encode,
    lines_of,
    operation_of,
    summary,
)
from loadgen.report.threshold import threshold
from loadgen.workload.orderflow import Plan, PlannedOrder, plan
from loadgen.workload.profiles import B3, scaled

PROFILE = scaled(B3, 10, 3)
PLAN: Plan = plan(PROFILE, 1)
SAMPLES = [
    UsageSample(0.0, {"gateway": Usage(1.0, 1 << 20)}),
    UsageSample(3.0, {"gateway": Usage(1.5, 3 << 20)}),
]
MACHINE = Machine("a <cpu>", 2, 4 << 30, "Linux", "3.11")


def ran(*, why: str = "", send_lag_us: int = 1_000, last: int = 201) -> RunResult:
    records = Records()
    for action in PLAN.actions:
        order = isinstance(action, PlannedOrder)
        status = 201 if order else 204 if operation_of(action) == "cancel" else 200
        sent_us = action.at_us + send_lag_us
        line = RequestRecord(
            operation_of(action),
            action.at_us,
            sent_us,
            sent_us + 5_000,
            RequestResult(status),
            0,
            "",
        )
        records.add(line)
    records.add(RequestRecord("order", 2_999_000, 2_999_000, 3_000_000, RequestResult(last), 0, ""))
    records.add(
        RequestRecord("cancel", 2_999_000, 2_999_000, 2_999_000, RequestResult(NOT_SENT), 0, "")
    )
    return RunResult(PLAN, records, len(records), 0.01, 0, SAMPLES, why)


def summary_of(
    run: RunResult, *thresholds: str, audit: Audit = "holds", errors_before: int = 0
) -> Summary:
    config = Config("http://127.0.0.1:1", 10, 3, 1, 1, 0, PROFILE)
    around = RunContext(config, MACHINE, "abc", "2026-01-01T00:00:00.000Z", errors_before, audit)
    return summary(run, around, [threshold(text) for text in thresholds])


def test_summary_of_a_good_run_has_exit_code_0_and_its_figures() -> None:
    found = summary_of(ran(), "p99(order)<50ms")
    assert found.exit_code == 0
    assert (found.complete, found.valid) == (True, True)
    assert found.sent == found.done == len(PLAN.actions) + 1
    assert found.processes["gateway"].memory_bytes_max == 3 << 20
    assert found.processes["gateway"].cpu_s == 0.5


def test_summary_contains_mix_and_skew_as_planned_and_as_sent() -> None:
    found = summary_of(ran())
    for share in found.mix.values():
        assert share.planned_percent == pytest.approx(share.sent_percent, abs=1)
    assert found.mix["order"].planned_percent == pytest.approx(53, abs=8)
    assert next(iter(found.skew)) == "PETR4"
    assert sum(share.planned_percent for share in found.skew.values()) < 100


@pytest.mark.parametrize(
    ("found", "exit_code"),
    [
        (summary_of(ran(why=INTERRUPTED)), 130),
        (summary_of(ran(why="gone")), 1),
        (summary_of(ran(last=TIMED_OUT)), 1),
        (summary_of(ran(last=TIMED_OUT), "errors<50%"), 0),
        (summary_of(ran(last=TIMED_OUT), "errors<0.1%"), 99),
        (summary_of(ran(), audit="fails"), 1),
        (summary_of(ran(), audit="left out"), 0),
        (summary_of(ran(), errors_before=1), 1),
        (summary_of(ran(send_lag_us=20_000), "p99(order)<1ms"), 98),
        (summary_of(ran(send_lag_us=20_000), audit="fails"), 1),
        (summary_of(ran(), "p99(order)<1ms"), 99),
    ],
)
def test_summary_exit_code_is_that_of_the_worst_fault(found: Summary, exit_code: int) -> None:
    assert found.exit_code == exit_code


def test_summary_is_read_back_and_another_version_is_refused() -> None:
    found = summary_of(ran())
    assert decode(encode(found)) == found
    with pytest.raises(SummaryError, match="version 3, this program reads 2"):
        decode(encode(structs.replace(found, schema_version=3)))
    for damaged in (b"{}", b'{"schema_version": 1}'):
        with pytest.raises(SummaryError, match="no summary"):
            decode(damaged)


def test_summary_of_version_1_is_read_with_its_former_name_of_the_send_lag() -> None:
    found = summary_of(ran(send_lag_us=2_000))
    first = encode(structs.replace(found, schema_version=1)).replace(b"send_lag_us", b"slip_us")
    assert decode(first) == found


def test_summary_text_marks_invalid_results() -> None:
    text = "\n".join(lines_of(summary_of(ran(why="gone", send_lag_us=20_000), "p99(order)<1ms")))
    assert "INVALID" in text
    assert "INCOMPLETE: gone" in text
    assert "FAILED  p99(order)<1ms" in text
    assert "INVALID" not in "\n".join(lines_of(summary_of(ran())))


def test_comparison_shows_ratios_and_what_differs() -> None:
    a = summary_of(ran())
    b = structs.replace(a, done_per_s=2 * a.done_per_s, valid=False)
    b = structs.replace(b, config=structs.replace(b.config, seed=2))
    text = list(comparison(a, b))
    assert "note: seed: A 1, B 2" in text
    assert "note: B is INVALID: its generator was late" in text
    assert any(line.startswith("done, requests/s") and line.endswith("2.00x") for line in text)
    assert any(line.startswith("order, p99.9, ms") and line.endswith("1.00x") for line in text)


@pytest.mark.parametrize("run", [ran(), ran(why="gone <now>", send_lag_us=20_000, last=TIMED_OUT)])
def test_page_is_self_contained_and_its_charts_are_well_formed(run: RunResult) -> None:
    found = summary_of(run, "p99(order)<50ms")
    seconds = per_second((action.at_us for action in PLAN.actions), run.records)
    text = page(found, run, seconds)
    assert not re.search(r"<script|<link|src=|@import|url\(", text)
    charts = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(charts) >= 8
    for chart in charts:
        ElementTree.fromstring(chart)  # noqa: S314 - made here
    assert "a &lt;cpu&gt;" in text
    assert ("INCOMPLETE: gone &lt;now&gt;" in text) == bool(run.why)


def test_page_of_a_run_without_requests_is_valid() -> None:
    nothing = RunResult(PLAN, Records(), 0, 0.0, 0, [], INTERRUPTED)
    text = page(summary_of(nothing), nothing, per_second([], []))
    assert "Nothing to show" in text
