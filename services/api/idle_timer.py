"""The time limit of a connection without a request, with one timer for many requests."""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable


class IdleTimer:
    """Calls `on_idle` once no `stop` followed a `start` for its time.

    Its timer stays armed when a request comes, and is armed anew for the rest when it fires too
    early: so a request costs none.
    """

    __slots__ = ("_loop", "_on_idle", "_timer", "_until_s")

    def __init__(self, loop: AbstractEventLoop, on_idle: Callable[[], None]) -> None:
        self._loop = loop
        self._on_idle = on_idle
        self._timer: TimerHandle | None = None
        # None: a request is in progress.
        self._until_s: float | None = None

    @property
    def runs(self) -> bool:
        """True between `start` and `stop`."""
        return self._until_s is not None

    def start(self, idle_s: float) -> None:
        """Begin to wait for a request. Not shorter than before, or it may end too late."""
        self._until_s = self._loop.time() + idle_s
        if self._timer is None:
            self._timer = self._loop.call_later(idle_s, self._fire)

    def stop(self) -> None:
        """A request came."""
        self._until_s = None

    def cancel(self) -> None:
        """End with the connection."""
        if self._timer is not None:
            self._timer.cancel()

    def _fire(self) -> None:
        self._timer = None
        if self._until_s is None:
            return
        left_s = self._until_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._fire)
        else:
            self._on_idle()
