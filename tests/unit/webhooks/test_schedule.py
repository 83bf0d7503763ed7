"""Meaning of a receiver's response, and the time of the next attempt."""

import pytest

from services.webhooks.schedule import (
    JITTER,
    RETRY_AFTER_S_MAX,
    SECONDS,
    STANDARD,
    AttemptVerdict,
    Policy,
    ReceiverResponse,
    judge,
    retry_after_s,
)

NOW_S = 1_800_000_000.0
DOWN = ReceiverResponse(None, "no connection")


def verdict(
    answer: ReceiverResponse, attempts: int = 1, failures: int = 0, jitter: float = 0.0
) -> AttemptVerdict:
    return judge(answer, STANDARD, attempts=attempts, failures=failures, jitter=jitter)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered_and_resets_failures(status: int) -> None:
    assert verdict(ReceiverResponse(status), 7, 9) == AttemptVerdict("delivered", 0, 0, 0)


@pytest.mark.parametrize("status", [100, 301, 302, 307, 308, 400, 401, 404, 429, 500, 503, None])
def test_any_other_response_is_retried(status: int | None) -> None:
    assert verdict(ReceiverResponse(status)) == AttemptVerdict("retry", 5, 1, 0)


def test_410_disables_the_receiver() -> None:
    assert verdict(ReceiverResponse(410)).result == "gone"


def test_attempts_follow_the_schedule_of_the_specification_and_then_end() -> None:
    delays = []
    for attempts in range(1, 20):
        found = verdict(DOWN, attempts)
        if found.result == "parked":
            break
        delays.append(found.delay_s)
    hour = 3600
    assert delays == [5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour]
    assert STANDARD.span_s / hour == pytest.approx(75.6, abs=0.1)
    assert SECONDS.span_s == 60


def test_jitter_delays_by_a_tenth_at_most() -> None:
    assert verdict(DOWN, 2, jitter=1.0).delay_s == pytest.approx(300 * (1 + JITTER))
    assert verdict(DOWN, 1, 5, jitter=1.0).pause_s == pytest.approx(40 * (1 + JITTER))


def test_receiver_is_paused_from_the_third_failure_with_doubling_pauses() -> None:
    pauses = [verdict(DOWN, 1, failures).pause_s for failures in range(12)]
    assert pauses == [0, 0, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    assert verdict(DOWN, 1, 1_000_000).pause_s == 300


def test_retry_after_delays_the_webhook_and_the_receiver() -> None:
    assert verdict(ReceiverResponse(429, None, 60.0)) == AttemptVerdict("retry", 60, 1, 60)
    assert verdict(ReceiverResponse(503, None, 1.0), 2, 5) == AttemptVerdict("retry", 300, 6, 40)
    assert verdict(ReceiverResponse(503, None, 1e9)).pause_s == RETRY_AFTER_S_MAX
    assert verdict(ReceiverResponse(429, None, 60.0), 10) == AttemptVerdict("parked", 0, 1, 60)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 5_000, RETRY_AFTER_S_MAX),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("²", None),
        ("", None),
        ("Fri, 99 Jan 99999 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_parsed_as_seconds_or_date(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_s(header, NOW_S) == seconds


def test_policy_of_one_attempt_parks_after_it() -> None:
    once = Policy((0,), failures_max=1, pause_s_min=1, pause_s_max=1)
    assert judge(DOWN, once, attempts=1, failures=0, jitter=0).result == "parked"
