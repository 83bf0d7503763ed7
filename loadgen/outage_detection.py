"""When an exchange counts as gone: requests are out, and nothing answers for too long. Pure."""

from typing import Final

from loadgen.client.record import ABANDONED, Records

# Fewer requests than this say nothing about the exchange.
UNANSWERED_LEAST: Final = 10


class Silence:
    """Any HTTP answer, good or bad, is a sign of life."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._seen = 0
        self._last_sign_s: float | None = None
        self._sent_at_sign = 0

    def over(self, now_s: float, sent: int, records: Records) -> bool:
        """Whether it is time to give up."""
        answered = any(line.answer.status > ABANDONED for line in records.since(self._seen))
        self._seen = len(records)
        if answered or self._last_sign_s is None or sent == 0:
            self._last_sign_s = now_s
            self._sent_at_sign = sent
        return (
            now_s - self._last_sign_s >= self._limit_s
            and sent - self._sent_at_sign >= UNANSWERED_LEAST
        )
