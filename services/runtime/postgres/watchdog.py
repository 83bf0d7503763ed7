"""How long a PostgreSQL server has not been heard, and the end of a call that waits in vain.

A half-open connection never fails by itself: the client library waits for ever. Whoever watches
another thread's questions cuts its connection, and that thread sees it as lost.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg


class LastResponse:
    """Told by the thread that asks, read by any. Longer than `max_s` is too long."""

    def __init__(self, max_s: float) -> None:
        self.max_s = max_s
        self._since: float | None = None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """From a question to its answer. Out of this, nobody waits and nothing is too long.

        A question that consists of several may ask each of them so.
        """
        inner = self._since is not None
        self.heard()
        try:
            yield
        finally:
            self._since = time.monotonic() if inner else None

    def heard(self) -> None:
        """The server has said something; it may go on."""
        self._since = time.monotonic()

    def too_long(self) -> bool:
        """Whether somebody asks, and was not answered for too long."""
        since = self._since
        return since is not None and time.monotonic() - since > self.max_s


class Watchdog:
    """A thread that calls `abort` each time a silence has become too long, until `close`."""

    def __init__(self, last_response: LastResponse, abort: Callable[[], None]) -> None:
        self._last_response = last_response
        self._bite = abort
        self._closed = threading.Event()
        # Late by a tenth at most, and next to no work.
        self._every_s = last_response.max_s / 10
        threading.Thread(target=self._watch, name="silence", daemon=True).start()

    def close(self) -> None:
        """It bites no more."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._every_s):
            if self._last_response.too_long():
                self._bite()


def cut(connection: "psycopg.BaseConnection[Any] | None") -> None:
    """From another thread: end a call that waits for a server which does not answer."""
    if connection is None or connection.closed:
        return
    # Closed in this very moment by its own thread: as well.
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)
