"""Deadlines of many requests with few timers: one for each waiting time.

Requests that wait equally long are due in the order in which they came, so a queue for each waiting
time is sorted by itself. Adding and cancelling cost no timer.
"""

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable


class Deadline:
    """One deadline; it calls `on_due` once, unless it is cancelled before."""

    __slots__ = ("at_s", "on_due")

    def __init__(self, at_s: float, on_due: Callable[[], None]) -> None:
        self.at_s = at_s
        self.on_due: Callable[[], None] | None = on_due

    def cancel(self) -> None:
        """Release the callback and the objects that it refers to. A second call does nothing."""
        self.on_due = None

    def end(self) -> None:
        """Call `on_due` now; a second call does nothing."""
        on_due, self.on_due = self.on_due, None
        if on_due is not None:
            on_due()


class Deadlines:
    """The deadlines of one loop. Waiting times are few: those that clients may choose."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._queues: dict[int, deque[Deadline]] = {}

    def add(self, wait_ms: int, on_due: Callable[[], None]) -> Deadline:
        """Call `on_due` after so many milliseconds."""
        deadline = Deadline(self._loop.time() + wait_ms / 1000, on_due)
        queue = self._queues.get(wait_ms)
        if queue is None:
            queue = self._queues[wait_ms] = deque()
            self._start(wait_ms, wait_ms / 1000)
        else:
            # Most are cancelled long before they are due: the queue stays short.
            while queue and queue[0].on_due is None:
                queue.popleft()
        queue.append(deadline)
        return deadline

    def _start(self, wait_ms: int, delay_s: float) -> None:
        self._loop.call_later(delay_s, self._on_timer, wait_ms)

    def _on_timer(self, wait_ms: int) -> None:
        queue = self._queues[wait_ms]
        now_s = self._loop.time()
        while queue and (queue[0].on_due is None or queue[0].at_s <= now_s):
            queue.popleft().end()
        if queue:
            self._start(wait_ms, queue[0].at_s - now_s)
        else:
            del self._queues[wait_ms]
