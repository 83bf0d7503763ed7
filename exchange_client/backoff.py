"""Waits between attempts: doubling, with full jitter, so that many clients do not come at once."""

import random
from collections.abc import Callable


class Backoff:
    """Waits of up to `first_s`, then twice as much each time, up to `most_s`.

    `draw` returns a number from 0 to 1.
    """

    def __init__(
        self, first_s: float, most_s: float, draw: Callable[[], float] = random.random
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._draw = draw
        self._limit_s = first_s

    def next_s(self) -> float:
        """Seconds to wait now."""
        limit_s = self._limit_s
        self._limit_s = min(2 * limit_s, self._most_s)
        return limit_s * self._draw()

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._limit_s = self._first_s
