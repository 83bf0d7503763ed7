"""An event loop's clock and timers, moved by the test: a slow machine changes nothing."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any


class ManualTimer:
    """A timer that was set; as asyncio's TimerHandle."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """Do not call."""
        self.cancelled = True


class ManualLoop:
    """`time` and `call_later` of an event loop."""

    def __init__(self) -> None:
        self._now_s = 1_000.0
        self._numbers = itertools.count()
        self._timers: list[tuple[float, int, ManualTimer, Callable[[], Any]]] = []
        self.timers_set = 0

    def time(self) -> float:
        """The present moment."""
        return self._now_s

    def call_later(
        self, delay_s: float, callback: Callable[..., Any], *arguments: Any
    ) -> ManualTimer:
        """Set a timer."""
        timer = ManualTimer()
        self.timers_set += 1
        due_s = self._now_s + delay_s
        call = lambda: callback(*arguments)  # noqa: E731 - the arguments of this call
        heapq.heappush(self._timers, (due_s, next(self._numbers), timer, call))
        return timer

    def advance(self, seconds: float) -> None:
        """Move the clock, and call what becomes due at its moment."""
        end_s = self._now_s + seconds
        while self._timers and self._timers[0][0] <= end_s:
            self._now_s, _, timer, call = heapq.heappop(self._timers)
            if not timer.cancelled:
                call()
        self._now_s = end_s
