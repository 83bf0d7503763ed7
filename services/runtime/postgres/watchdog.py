"""Time since PostgreSQL last responded, and a watchdog that aborts a call that waits too long.

A half-open connection never fails by itself: the client library waits without limit. The watchdog
shuts the socket down, and the waiting thread sees a lost connection.
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
    """Written by the querying thread, read by any. A silence above `max_s` is too long."""

    def __init__(self, max_s: float) -> None:
        self.max_s = max_s
        self._since: float | None = None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Mark the time from a query to its answer. Outside of it no silence is too long.

        May be nested: a query that consists of several marks each of them.
        """
        inner = self._since is not None
        self.heard()
        try:
            yield
        finally:
            self._since = time.monotonic() if inner else None

    def heard(self) -> None:
        """Record a response of the server in the middle of a query."""
        self._since = time.monotonic()

    def too_long(self) -> bool:
        """True if a query has been without a response for too long."""
        since = self._since
        return since is not None and time.monotonic() - since > self.max_s


class Watchdog:
    """A thread that calls `abort` whenever a silence becomes too long, until `close`."""

    def __init__(self, last_response: LastResponse, abort: Callable[[], None]) -> None:
        self._last_response = last_response
        self._abort = abort
        self._closed = threading.Event()
        # At most a tenth late, for almost no work.
        self._every_s = last_response.max_s / 10
        threading.Thread(target=self._watch, name="postgres-watchdog", daemon=True).start()

    def close(self) -> None:
        """Abort nothing from now on."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._every_s):
            if self._last_response.too_long():
                self._abort()


def cut(connection: "psycopg.BaseConnection[Any] | None") -> None:
    """Shut a connection's socket down from another thread, to end a call that waits for a
    server."""
    if connection is None or connection.closed:
        return
    # The owner may close the connection at this moment, which has the same effect.
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)
