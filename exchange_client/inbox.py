"""The events that a program has not taken yet: a queue with a bound. Pure.

Of books, ladders, tickers and running candles only the newest waits for a program that is slow.
Everything else is complete, or the queue ends with an error.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from exchange_client.errors import QueueFullError
from exchange_client.events import Event

EVENTS_MAX: Final = 100_000

Key = tuple[str, ...]
# Returns the newest event when the program takes it; None: there is none any more.
Newest = Callable[[], Event | None]


class Inbox:
    """Events in the order in which they came; of those with a key, one for each key."""

    def __init__(self, events_max: int = EVENTS_MAX) -> None:
        self._events_max = events_max
        self._queue: deque[Event | Key] = deque()
        self._newest: dict[Key, Newest] = {}
        self.error: Exception | None = None

    def add(self, event: Event) -> None:
        """Add an event that must not be lost."""
        if self.error is not None:
            return
        if len(self._queue) >= self._events_max:
            self.error = QueueFullError(
                f"{self._events_max} events wait: the program takes them too slowly"
            )
            return
        self._queue.append(event)

    def set(self, key: Key, newest: Newest) -> None:
        """Add an event that replaces the waiting one of this key."""
        if key not in self._newest:
            self._queue.append(key)
        self._newest[key] = newest

    def take(self) -> Event | None:
        """The next event; None if no event waits. Raises the error that ended the queue, after the
        events before it."""
        while self._queue:
            found = self._queue.popleft()
            event = self._newest.pop(found)() if isinstance(found, tuple) else found
            if event is not None:
                return event
        if self.error is not None:
            raise self.error
        return None

    def waits(self) -> bool:
        """True if `take` would return an event, or raise an error."""
        return bool(self._queue) or self.error is not None
