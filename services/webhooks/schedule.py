"""What an answer means, when a webhook is tried again, and how long its receiver is left alone.

Pure: time and jitter are arguments. Two clocks: a webhook has its own attempts; and a receiver that
fails several times in a row is paused as a whole, so that the others' attempts are not used up.
"""

from email.utils import parsedate_to_datetime
from typing import Final, Literal

from msgspec import Struct

# An attempt is put off by up to this share of its delay, so that many do not come at once.
JITTER = 0.1
# Longer than this nobody puts us off: the schedule goes on.
RETRY_AFTER_S_MAX = 3600.0
_GONE = 410
_SUCCESS = range(200, 300)

Result = Literal["delivered", "retry", "parked", "gone"]


class Policy(Struct, frozen=True):
    """`delays_s[n]`: the wait before attempt n + 1. After the last one a webhook is parked.

    From the `failures_max`th failure in a row on, a receiver is paused, twice as long each time.
    """

    delays_s: tuple[float, ...]
    failures_max: int
    pause_s_min: float
    pause_s_max: float

    @property
    def span_s(self) -> float:
        """How long a webhook is tried, when each attempt comes when it is due."""
        return sum(self.delays_s)


# The example of the Standard Webhooks specification: 75 hours.
STANDARD: Final = Policy(
    (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400),
    failures_max=3,
    pause_s_min=5.0,
    pause_s_max=300.0,
)
# For people who wait: a minute.
SECONDS: Final = Policy((0, 1, 2, 4, 8, 15, 30), failures_max=3, pause_s_min=0.5, pause_s_max=5.0)
POLICIES: Final = {"standard": STANDARD, "seconds": SECONDS}


class Answer(Struct, frozen=True):
    """What came of an attempt. `status` None: there was no answer, `error` says why."""

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None


class Verdict(Struct, frozen=True):
    """`delay_s` until the next attempt of this webhook; 0 where there is none.

    `failures` of the receiver in a row by now, and `pause_s` until it is sent anything again.
    """

    result: Result
    delay_s: float
    failures: int
    pause_s: float


def judge(
    answer: Answer, policy: Policy, *, attempts: int, failures: int, jitter: float
) -> Verdict:
    """The `attempts`th attempt (from 1) at a receiver with so many failures in a row before it.

    `jitter` is drawn from 0 to 1.
    """
    if answer.status is not None and answer.status in _SUCCESS:
        return Verdict("delivered", 0, 0, 0)
    failures += 1
    if answer.status == _GONE:
        return Verdict("gone", 0, failures, 0)
    put_off_s = min(answer.retry_after_s or 0.0, RETRY_AFTER_S_MAX)
    pause_s = max(put_off_s, _pause_s(policy, failures) * (1 + JITTER * jitter))
    if attempts >= len(policy.delays_s):
        return Verdict("parked", 0, failures, pause_s)
    delay_s = max(put_off_s, policy.delays_s[attempts] * (1 + JITTER * jitter))
    return Verdict("retry", delay_s, failures, pause_s)


def _pause_s(policy: Policy, failures: int) -> float:
    over = failures - policy.failures_max
    if over < 0:
        return 0
    # A receiver may be away for months: the exponent must not grow with it.
    return min(policy.pause_s_max, policy.pause_s_min * 2.0 ** min(over, 30))


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Seconds that a `Retry-After` asks for, as a number or as a date; None when it says nothing
    that is understood."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        # More digits than any sensible wait has.
        return float(text) if len(text) < 10 else RETRY_AFTER_S_MAX  # noqa: PLR2004
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None
