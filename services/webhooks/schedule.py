"""Meaning of a response: when a webhook is retried, and how long its receiver is paused.

Pure: time and jitter are arguments. A webhook has its own attempts; a receiver that fails several
times in a row is paused as a whole, so that its other webhooks keep their attempts.
"""

from email.utils import parsedate_to_datetime
from typing import Final, Literal

from msgspec import Struct

# Retries are delayed by up to this share of their delay, so that many do not come at once.
JITTER = 0.1
# Longest Retry-After that is honoured; beyond it the schedule applies.
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
        """Seconds from the first to the last attempt of a webhook, if each is made when due."""
        return sum(self.delays_s)


# The example of the Standard Webhooks specification: 75 hours in all.
STANDARD: Final = Policy(
    (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400),
    failures_max=3,
    pause_s_min=5.0,
    pause_s_max=300.0,
)
# For interactive use: a minute in all.
SECONDS: Final = Policy((0, 1, 2, 4, 8, 15, 30), failures_max=3, pause_s_min=0.5, pause_s_max=5.0)
POLICIES: Final = {"standard": STANDARD, "seconds": SECONDS}


class ReceiverResponse(Struct, frozen=True):
    """Response to an attempt. `status` None: there was none, and `error` gives the reason.

    `ours`: this machine lacks something, and the receiver was not reached.
    """

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None
    ours: bool = False


class AttemptVerdict(Struct, frozen=True):
    """`delay_s` until the next attempt of this webhook; 0 if there is none.

    `failures` of the receiver in a row, and `pause_s` until anything is sent to it again.
    """

    result: Result
    delay_s: float
    failures: int
    pause_s: float


def judge(
    answer: ReceiverResponse, policy: Policy, *, attempts: int, failures: int, jitter: float
) -> AttemptVerdict:
    """Judge the `attempts`th attempt (from 1) at a receiver with `failures` failures before it.

    `jitter` is drawn from 0 to 1.
    """
    if answer.status is not None and answer.status in _SUCCESS:
        return AttemptVerdict("delivered", 0, 0, 0)
    failures += 1
    if answer.status == _GONE:
        return AttemptVerdict("gone", 0, failures, 0)
    put_off_s = min(answer.retry_after_s or 0.0, RETRY_AFTER_S_MAX)
    pause_s = max(put_off_s, _pause_s(policy, failures) * (1 + JITTER * jitter))
    if attempts >= len(policy.delays_s):
        return AttemptVerdict("parked", 0, failures, pause_s)
    delay_s = max(put_off_s, policy.delays_s[attempts] * (1 + JITTER * jitter))
    return AttemptVerdict("retry", delay_s, failures, pause_s)


def _pause_s(policy: Policy, failures: int) -> float:
    over = failures - policy.failures_max
    if over < 0:
        return 0
    # A receiver may be away for months: the exponent is bounded.
    return min(policy.pause_s_max, policy.pause_s_min * 2.0 ** min(over, 30))


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Seconds of a `Retry-After` header, given as a number or a date; None if it is missing or
    malformed."""
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
