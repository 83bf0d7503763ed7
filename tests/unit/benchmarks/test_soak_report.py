"""Figures and failures that the soak report computes from its samples."""

import pytest

from benchmarks.soak.recovery import STEPS, RecoveryStep
from benchmarks.soak.report import DayReport, as_text, rates_of
from benchmarks.soak.watch import DaySample


def sample(at_s: float, log: int, matcher: int, sink: int) -> DaySample:
    memory = {"gateway": 100, "matcher": 200, "sink": 50, "kafka": 500}
    return DaySample(at_s, log, matcher, matcher, sink, 10, 20, memory)


SAMPLES = [sample(0.0, 0, 0, 0), sample(5.0, 1_000, 800, 500), sample(10.0, 1_000, 1_000, 1_000)]


def report(*steps: RecoveryStep, failure: str = "") -> DayReport:
    return DayReport(
        seed=1,
        machine="2 cores",
        orders=700,
        cancels=300,
        trades=140,
        events={"OrderAccepted": 700},
        written_s=4.0,
        done_s=10.0,
        rates=rates_of(SAMPLES, sink_rows=2_000),
        cpu_s={"matcher": 1.0},
        snapshots="no snapshots",
        samples=SAMPLES,
        disk_bytes={"exchange.commands.v1": 1 << 30},
        steps=list(steps),
        failure=failure,
    )


def test_sample_lag_is_that_of_the_slowest_and_memory_excludes_kafka() -> None:
    assert SAMPLES[1].behind == 500
    assert SAMPLES[1].ours_mib == 350


def test_rates_end_when_the_last_command_was_processed() -> None:
    waited = [*SAMPLES, sample(60.0, 1_000, 1_000, 1_000)]
    rates = rates_of(waited, sink_rows=2_000)
    assert (rates.matcher, rates.sink, rates.sink_rows) == (100.0, 100.0, 200.0)


@pytest.mark.parametrize("name", STEPS)
def test_report_with_a_failed_step_fails_and_names_it(name: str) -> None:
    assert report(RecoveryStep(name, True, 1.0, 10, "ready")).holds
    failed = report(RecoveryStep(name, False, 1.0, 10, "given up"))
    assert not failed.holds
    assert any(name in line and "FAILED" in line for line in as_text(failed))


def test_report_of_an_aborted_flow_fails() -> None:
    assert not report(failure="nothing has moved").holds
    assert "FAILED: nothing has moved" in list(as_text(report(failure="nothing has moved")))
