"""The retry policy of one request. Pure: times are arguments.

Repeated are: connection errors, 429, 503, 504 and other errors of a server, within a deadline. A
request that changes something is repeated only if repeating cannot do it twice.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from exchange_client.backoff import Backoff
from exchange_client.calls import Call
from exchange_client.errors import OutcomeUnknownError, RefusedError, UnavailableError

# A hanging server must leave time for another attempt.
ATTEMPT_S_MAX: Final = 5.0
FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 2.0
_ERROR: Final = 400
_SERVER_ERROR: Final = 500
# Decisions about the order itself, also for a repeated request.
_DECIDED: Final = frozenset({404, 409})
# Answers of the exchange that say that the request had no effect.
_WITHOUT_EFFECT: Final = frozenset({"not_accepted", "rate_limited", "request_timeout"})


class Attempts:
    """The attempts of one call until `deadline`, on the clock of the arguments `now`."""

    def __init__(
        self, call: Call, deadline: float, draw: Callable[[], float] = random.random
    ) -> None:
        self._call = call
        self._deadline = deadline
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S, draw)
        # An earlier attempt may have taken effect.
        self._in_doubt = False

    def time_limit_s(self, now: float) -> float:
        """Longest time for an attempt that begins now."""
        return max(0.0, min(ATTEMPT_S_MAX, self._deadline - now))

    def left_s(self, now: float) -> float:
        """Seconds until the deadline."""
        return max(0.0, self._deadline - now)

    def doubt(self) -> None:
        """Note that an attempt without an answer may have taken effect."""
        self._in_doubt = self._in_doubt or self._call.changes

    def failed(self, reason: str, now: float, *, sent: bool) -> float:
        """Seconds until the next attempt, after one without an answer. `sent`: it may have
        reached the exchange. Raises UnavailableError, OutcomeUnknownError."""
        if sent:
            self.doubt()
        return self._wait(reason, now, 0.0, repeatable=self._call.repeatable or not sent)

    def answered(
        self, status: int, problem: Mapping[str, Any], now: float, retry_after_s: float = 0.0
    ) -> float | None:
        """None if the call is done, else seconds until the next attempt.

        `problem`: the body of an error, empty if it is not one of the exchange. Raises
        RefusedError, UnavailableError, OutcomeUnknownError.
        """
        if status < _ERROR:
            return None
        refusal = RefusedError(status, problem)
        if refusal.code in _WITHOUT_EFFECT:
            return self._wait(str(refusal), now, retry_after_s, repeatable=True)
        if status >= _SERVER_ERROR:
            self.doubt()
            return self._wait(str(refusal), now, retry_after_s, repeatable=self._call.repeatable)
        if self._in_doubt and status not in _DECIDED:
            # A request that is refused at the door says nothing about the one before it.
            raise OutcomeUnknownError(str(refusal), self._call.client_order_id) from refusal
        raise refusal

    def expired(self, reason: str) -> OutcomeUnknownError | UnavailableError:
        """The error of a call whose deadline has passed."""
        if self._in_doubt:
            return OutcomeUnknownError(reason, self._call.client_order_id)
        return UnavailableError(reason)

    def _wait(self, reason: str, now: float, least_s: float, *, repeatable: bool) -> float:
        wait_s = max(least_s, self._backoff.next_s())
        if not repeatable or now + wait_s >= self._deadline:
            raise self.expired(reason)
        return wait_s
