"""Takes connections from a listening socket in small portions.

The event loop's own servers accept everything that waits within one turn. A flood of connections
makes such a turn 200 ms long, and the requests of connected brokers wait for its end.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final

log = logging.getLogger(__name__)

# Of a portion: a connection with its first request takes some 0.1 ms, closing one whose client is
# gone 0.015 ms. So either takes 1 ms at most.
TAKEN_MAX: Final = 8
SEEN_MAX: Final = 64
# After a whole portion, more may wait. Requests have the loop for so long; 2,800 connections a
# second can still come.
PAUSE_S: Final = 0.002
# After an error: no open files are left, until connections end.
ERROR_PAUSE_S: Final = 0.5
# State of a TCP connection, as Linux numbers them: the first byte of TCP_INFO.
_ESTABLISHED: Final = 1


class Acceptor:
    """Passes the connections of one listening socket to protocols until it is closed.

    Takes the part of `asyncio.Server` that uvicorn uses.
    """

    def __init__(
        self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self.sockets: Sequence[socket.socket] = (listener,)
        self._listener = listener
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._paused: asyncio.TimerHandle | None = None
        self._is_flood = False
        # The loop keeps no reference of its own to a task.
        self._connecting: set[asyncio.Task[object]] = set()
        listener.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Accept no more connections. Does not close the socket."""
        if self._paused is not None:
            self._paused.cancel()
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Wait until the last accepted connections have their protocols."""
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _resume(self) -> None:
        self._paused = None
        self._loop.add_reader(self._listener, self._accept)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._paused = self._loop.call_later(seconds, self._resume)

    def _accept(self) -> None:
        taken = 0
        for _ in range(SEEN_MAX):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                self._is_flood = False
                return
            except OSError as error:
                log.warning("cannot accept connections", extra={"fields": {"error": str(error)}})
                self._pause(ERROR_PAUSE_S)
                return
            # Otherwise such a client still has an answer: it may have closed its own half only.
            if self._is_flood and not _is_established(connection):
                connection.close()
                continue
            self._connect(connection)
            taken += 1
            if taken == TAKEN_MAX:
                break
        self._is_flood = True
        self._pause(PAUSE_S)

    def _connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        task = self._loop.create_task(
            self._loop.connect_accepted_socket(self._make_protocol, connection)
        )
        self._connecting.add(task)
        task.add_done_callback(self._connected)

    def _connected(self, task: "asyncio.Task[object]") -> None:
        self._connecting.discard(task)
        # A client that is gone already; retrieving the error keeps it from being logged.
        task.exception()


def _is_established(connection: socket.socket) -> bool:
    """False if the client has closed the connection; always true where the system cannot tell."""
    if not hasattr(socket, "TCP_INFO"):
        return True
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED
