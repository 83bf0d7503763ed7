"""Detects an exchange that no longer answers: requests are out, and no answer for too long.
Pure."""

from typing import Final

from loadgen.client.record import ABANDONED, Records

# Fewer outstanding requests are no evidence of an outage.
UNANSWERED_LEAST: Final = 10


class OutageDetector:
    """Time since the last HTTP answer, good or bad."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._seen = 0
        self._last_sign_s: float | None = None
        self._sent_at_sign = 0

    def over(self, now_s: float, sent: int, records: Records) -> bool:
        """True if the run should end."""
        answered = any(line.answer.status > ABANDONED for line in records.since(self._seen))
        self._seen = len(records)
        if answered or self._last_sign_s is None or sent == 0:
            self._last_sign_s = now_s
            self._sent_at_sign = sent
        return (
            now_s - self._last_sign_s >= self._limit_s
            and sent - self._sent_at_sign >= UNANSWERED_LEAST
        )
