"""What never reaches the edge: nonsense, endless or slow heads, clients that neither send nor read,
one connection too many. Answered in the edge's manner where an answer cannot be taken for another.

Bodies are the edge's to bound (`http_body`), as long as it reads them.
"""

import logging
import secrets
from asyncio import BaseTransport, TimerHandle, Transport
from collections import deque
from http import HTTPStatus
from typing import cast

from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from services.api.messages import ProblemError, not_accepted
from services.runtime.logging_setup import RateLimit
from services.runtime.metrics import CONNECTIONS_CUT

# Anyone can send nonsense; nobody shall fill the log with it.
_LINES_PER_MINUTE_MAX = 20


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """Of one port and its connections. The defaults are far from what honest clients need."""

    connections_max: int = 2_000
    """More than these are told 503."""
    overflow_connections_max: int = 100
    """More than these waiting to be told so are not listened to at all."""
    crowd_s: float = 1.0
    """How long one of them may take to send something."""
    head_bytes_max: int = 16 * 1024
    """Request line and headers; ours have less than 1 KiB."""
    head_fields_max: int = 100
    """Headers of a request."""
    head_s: float = 10.0
    """From the first byte of a head to its last, and for a body that nobody waits for."""
    pipelined_max: int = 100
    """Requests sent before the answer to an earlier one."""
    idle_s: int = 75
    """Longer than clients keep an idle connection: never closed under their next request."""
    unread_s: float = 30.0
    """For reading an answer that does not fit into the buffers; the largest has some 100 KiB."""


class _RefusedError(Exception):
    """Leaves the parser; `problem` is told to the client."""

    def __init__(self, reason: str, problem: ProblemError) -> None:
        super().__init__(reason)
        self.reason = reason
        self.problem = problem


class HttpProtocol(HttpToolsProtocol):
    """One connection. Timers run only while a client owes bytes that one packet would bring."""

    limits = ConnectionLimits()
    _due: TimerHandle | None = None
    _unread: TimerHandle | None = None
    _crowded = False
    _refused: _RefusedError | None = None
    # Of the request that is being read: whether its end is to come, whether that of its head is,
    # and what arrived of the head in earlier packets. Heads are numbered to tell two apart.
    _in_message = False
    _in_head = False
    _head_bytes = 0
    _packet_bytes = 0
    _heads = 0

    def connection_made(self, transport: BaseTransport) -> None:
        """Count it, and give it a while to say something."""
        super().connection_made(cast(Transport, transport))
        # Requests without a whole answer, in order; only the first is worked on.
        self._open: deque[RequestResponseCycle] = deque()
        too_many = len(self.connections) - self.limits.connections_max
        if too_many > self.limits.overflow_connections_max:
            CONNECTIONS_CUT.labels("too_many").inc()
            self.transport.abort()
            return
        self._crowded = too_many > 0
        wait_s = self.limits.crowd_s if self._crowded else self.limits.head_s
        self._due = self.loop.call_later(wait_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """No timer outlives its connection."""
        self._not_due()
        if self._unread is not None:
            self._unread.cancel()
        for cycle in self._open:
            # uvicorn tells the last one alone, and the others write to a connection that is gone.
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, then see what the client still owes."""
        if self._crowded:
            self._cut("too_many", not_accepted("too many connections", close=True))
            return
        heads = self._heads
        self._packet_bytes = len(data)
        super().data_received(data)
        if (self._open and not self._in_head) or self.transport.is_closing():
            return
        if self._in_head and self._heads == heads:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes_max:
                self._cut("head_too_large", self._head_too_large())
                return
        self._watch()

    def _watch(self) -> None:
        if self._open:
            return
        if self._in_message:
            if self._due is None:
                self._due = self.loop.call_later(self.limits.head_s, self._give_up)
        elif self.timeout_keep_alive_task is None and self._due is None:
            # What came was the rest of a request that is answered, or nothing at all.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_message = self._in_head = True
        self._head_bytes = 0
        self._heads += 1

    def on_headers_complete(self) -> None:
        """The head is whole: judge its size, and how many requests wait before it."""
        limits = self.limits
        # A head that came in one packet of less than the bound need not be added up.
        if len(self.headers) > limits.head_fields_max or (
            self._head_bytes + self._packet_bytes > limits.head_bytes_max
            and self._size_of_head() > limits.head_bytes_max
        ):
            raise self._refusal("head_too_large", self._head_too_large())
        if len(self._open) > limits.pipelined_max:
            ahead = not_accepted(f"at most {limits.pipelined_max} requests may wait", close=True)
            raise self._refusal("too_many_ahead", ahead)
        self._in_head = False
        if self._due is not None:
            self._not_due()
        super().on_headers_complete()
        self._open.append(self.cycle)

    def on_message_complete(self) -> None:
        """Nothing is owed until the next request begins."""
        self._in_message = False
        if self._due is not None:
            self._not_due()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, of which a part may be here."""
        self._open.popleft()
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()
        elif self._in_message:
            self._watch()

    def pause_writing(self) -> None:
        """The client does not read its answer: not for ever."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """It reads."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        """Nobody has used the connection for long."""
        self._close()

    def send_400_response(self, msg: str) -> None:
        """One problem, then the connection is closed: what follows cannot be told apart."""
        if self._refused is not None:
            self._cut(self._refused.reason, self._refused.problem)
        else:
            self._cut("malformed", ProblemError("malformed_request", msg))

    def _refusal(self, reason: str, problem: ProblemError) -> _RefusedError:
        # The parser swallows the error and comes back through send_400_response.
        self._refused = _RefusedError(reason, problem)
        return self._refused

    def _give_up(self) -> None:
        self._due = None
        if not self.transport.is_closing():
            late = f"the head did not arrive within {self.limits.head_s:.0f} s"
            # Nothing was asked: an answer would be taken for that of the next request.
            problem = ProblemError("request_timeout", late) if self._in_head else None
            self._cut("too_many" if self._crowded else "slow", problem)

    def _cut(self, reason: str, problem: ProblemError | None) -> None:
        CONNECTIONS_CUT.labels(reason).inc()
        if problem is not None and self._answerable:
            self.transport.write(_raw(problem))
        self._close()

    @property
    def _answerable(self) -> bool:
        # Never before the answer to an earlier request, which would be told what is not its own:
        # a closed connection says "unknown", which is true.
        if len(self._open) == 1:
            in_body = self._in_message and not self._in_head
            return in_body and not self.cycle.response_started
        return not self._open and (self._in_head or not self._in_message)

    def _close(self) -> None:
        self._not_due()
        self.transport.close()
        # Closing waits for what was written to be read.
        self._expect_reading()

    def _expect_reading(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(self.limits.unread_s, self._abort)

    def _abort(self) -> None:
        CONNECTIONS_CUT.labels("not_reading").inc()
        self.transport.abort()

    def _not_due(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _size_of_head(self) -> int:
        fields = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.url) + fields

    def _head_too_large(self) -> ProblemError:
        limits = self.limits
        return ProblemError(
            "head_too_large",
            f"the head may have {limits.head_bytes_max} bytes and {limits.head_fields_max} headers",
        )


def limited_protocol(limits: ConnectionLimits) -> type[HttpProtocol]:
    """The protocol with these bounds: uvicorn makes its connections from a class."""
    return type("LimitedProtocol", (HttpProtocol,), {"limits": limits})


def _raw(problem: ProblemError) -> bytes:
    request_id = secrets.token_hex(8)
    response = problem.response(request_id)
    headers = {
        "content-type": response.content_type,
        "content-length": str(len(response.body)),
        "x-request-id": request_id,
        **{name.lower(): value for name, value in response.headers},
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + response.body


def quiet_logger() -> None:
    """Bound the rate of uvicorn's own lines."""
    logger = logging.getLogger("uvicorn.error")
    if not logger.filters:
        logger.addFilter(RateLimit(_LINES_PER_MINUTE_MAX))
