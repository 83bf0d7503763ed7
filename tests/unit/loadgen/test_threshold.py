"""Thresholds of a run: their syntax, and whether they hold."""

import pytest

from loadgen.client.record import TIMED_OUT, RequestRecord, RequestResult
from loadgen.report.report import Report, report
from loadgen.report.threshold import ThresholdError, judge, threshold


def run_of(*latencies_ms: int) -> Report:
    lines = [
        RequestRecord("order", 0, 2_000, ms * 1_000, RequestResult(201), 0, "c")
        for ms in latencies_ms
    ]
    return report([*lines, RequestRecord("cancel", 0, 0, 100, RequestResult(TIMED_OUT), 0, "")], 0)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("p99(order)<50ms", False),
        ("p99(order)<=50ms", True),
        ("p99(order) < 0.06s", True),
        ("p50(order)<10001us", True),
        ("max(order)<50ms", False),
        ("p99.9(all)<51ms", True),
        ("max(send_lag)<=2ms", True),
        ("max(send_lag)<2ms", False),
        ("max(slip)<=2ms", True),
        ("max(slip)<2ms", False),
        ("errors<34%", True),
        ("errors<=33%", False),
        ("p99(read_book)<1s", False),
    ],
)
def test_threshold_is_compared_with_the_run(text: str, holds: bool) -> None:
    verdict = judge(threshold(text), run_of(10, 50))
    assert verdict.holds is holds
    assert verdict.text == text.replace(" ", "")


def test_threshold_on_errors_of_an_empty_run_fails() -> None:
    assert judge(threshold("errors<1%"), report([], 0)).found is None
    assert not judge(threshold("errors<1%"), report([], 0)).holds


@pytest.mark.parametrize(
    "text", ["", "p99<50ms", "p98(order)<50ms", "p99(trade)<50ms", "p99(order)>50ms", "errors<1",
             "p99(order)<50", "p99(order)<-1ms", "p99(order)<50ms; ls"],
)  # fmt: skip
def test_invalid_threshold_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ThresholdError, match=r"write p99\(order\)<50ms"):
        threshold(text)
