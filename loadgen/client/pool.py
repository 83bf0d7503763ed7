"""HTTP/1.1 over kept-alive connections at minimal cost: bytes out, status and body in.

One request at a time on each connection, and as many connections as are needed at once. Every
request ends in exactly one call of its `done`, with NO_ANSWER or TIMED_OUT if no answer came. A
request costs about 90 us of CPU; with a general HTTP client about 420 us, which would be taken from
the exchange on the same machine.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import urlsplit

import httptools

from loadgen.client.record import ABANDONED, NO_ANSWER, TIMED_OUT

# Longer than the exchange's own limit for an outcome, so that its 504 is seen.
ANSWER_TIMEOUT_S: Final = 15.0
# Five connections for each of a hundred brokers. Further requests wait for a connection, and the
# wait counts as the exchange's latency. Thousands of connections opened at once would overflow the
# server's backlog and measure the kernel's retries.
CONNECTIONS_MAX: Final = 500
# Idle connections are dropped after this time, before the server's own limit closes them.
IDLE_S_MAX: Final = 3.0
# Time-outs and idle connections are found in one sweep instead of with a timer each.
SWEEP_S: Final = 0.05

Done = Callable[[int, bytes], None]


class Exchanged:
    """A request in progress; `done` gets status and body, once."""

    __slots__ = ("connection", "deadline", "done", "finished", "request")

    def __init__(self, request: bytes, done: Done, deadline: float) -> None:
        self.request = request
        self.done = done
        self.deadline = deadline
        self.finished = False
        self.connection: PooledConnection | None = None

    def finish(self, status: int, body: bytes) -> None:
        """Report the result; only the first call counts."""
        if not self.finished:
            self.finished = True
            self.done(status, body)


class PooledConnection(asyncio.Protocol):
    """One connection; httptools calls the `on_` methods."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._current: Exchanged | None = None
        self._body = b""
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self._transport = cast(asyncio.Transport, transport)
        self._pool.opened(self)

    def send(self, exchanged: Exchanged) -> None:
        """Close the connection if it is idle."""
        self._current = exchanged
        exchanged.connection = self
        self._body = b""
        if self._transport is not None:
            self._transport.write(exchanged.request)

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.abort(NO_ANSWER, type(error).__name__.encode())

    def on_body(self, body: bytes) -> None:
        """Collect the body; a body in one piece is not copied."""
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """The answer is complete; the connection can take the next request."""
        current, self._current = self._current, None
        status = self._parser.get_status_code()
        if current is None or status < 200:  # noqa: PLR2004
            self._current = current
            return
        current.finish(status, self._body)
        if self._parser.should_keep_alive():
            self._pool.idle(self)
        else:
            self.abort(NO_ANSWER, b"")

    def abort(self, status: int, why: bytes) -> None:
        """Close the connection now; a request in progress ends with `status`."""
        current, self._current = self._current, None
        if self._transport is not None:
            self._transport.abort()
        if current is not None:
            current.finish(status, why)

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio's."""
        self._pool.gone(self)
        why = type(error).__name__ if error else "ServerDisconnected"
        self.abort(NO_ANSWER, why.encode())


class Pool:
    """All connections to one server."""

    def __init__(self, url: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        parts = urlsplit(url)
        self._timeout_s = timeout_s
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80
        self._loop = asyncio.get_running_loop()
        self._idle: list[PooledConnection] = []
        self._open: set[PooledConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[Exchanged] = deque()
        # In the order of their deadlines, because all have the same time limit.
        self._under_way: deque[Exchanged] = deque()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def send(self, request: bytes, done: Done) -> None:
        """Send a request; `done` is called later, once."""
        now = self._loop.time()
        exchanged = Exchanged(request, done, now + self._timeout_s)
        self._under_way.append(exchanged)
        if (connection := self._fresh(now)) is not None:
            connection.send(exchanged)
            return
        self._waiting.append(exchanged)
        if len(self._open) + len(self._opening) < CONNECTIONS_MAX:
            task = self._loop.create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def opened(self, connection: PooledConnection) -> None:
        """A new connection can take its first request."""
        self._open.add(connection)
        self.idle(connection)

    def idle(self, connection: PooledConnection) -> None:
        """A connection can take another request."""
        while self._waiting:
            exchanged = self._waiting.popleft()
            if not exchanged.finished:
                connection.send(exchanged)
                return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def gone(self, connection: PooledConnection) -> None:
        """A connection is closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    async def close(self) -> None:
        """Abandon all requests and close all connections."""
        self._sweeper.cancel()
        for task in list(self._opening):
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for exchanged in self._under_way:
            exchanged.finish(ABANDONED, b"")
        for connection in list(self._open):
            connection.abort(ABANDONED, b"")
        # Aborted connections are closed in the loop's next round.
        await asyncio.sleep(0)

    def _fresh(self, now: float) -> PooledConnection | None:
        """The connection used last; if it has been idle too long, all have."""
        if self._idle and now - self._idle[-1].idle_since < IDLE_S_MAX:
            return self._idle.pop()
        stale, self._idle = self._idle, []
        for connection in stale:
            connection.abort(NO_ANSWER, b"")
        return None

    async def _connect(self) -> None:
        try:
            await asyncio.wait_for(
                self._loop.create_connection(
                    lambda: PooledConnection(self), self._host, self._port
                ),
                self._timeout_s,
            )
        except TimeoutError:
            # A request that waited for this connection has timed out as well.
            return
        except OSError as error:
            self._refuse(type(error).__name__)

    def _refuse(self, why: str) -> None:
        """One failed attempt ends one request, as if each had opened its own connection."""
        while self._waiting:
            exchanged = self._waiting.popleft()
            if not exchanged.finished:
                exchanged.finish(NO_ANSWER, why.encode())
                return

    def _sweep(self) -> None:
        """End requests over their time limit; their connections cannot be reused."""
        now = self._loop.time()
        under_way = self._under_way
        while under_way and (under_way[0].finished or under_way[0].deadline <= now):
            exchanged = under_way.popleft()
            if not exchanged.finished:
                if exchanged.connection is not None:
                    exchanged.connection.abort(TIMED_OUT, b"")
                exchanged.finish(TIMED_OUT, b"")
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
