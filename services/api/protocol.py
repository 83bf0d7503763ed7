"""Rejects what must not reach the application: malformed, oversized or slow headers, stalled
clients, too many connections. Replies with problem+json unless the reply could be mistaken for the
answer to another request.

The application bounds the body (`body`), as long as it reads it.
"""

from asyncio import BaseTransport, TimerHandle, Transport
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from services.api.connection_limits import ConnectionLimits
from services.api.connections import table_of
from services.api.hosts import HostRules
from services.api.idle_timer import IdleTimer
from services.api.messages import ProblemError, not_accepted
from services.api.raw_problem import RefusedRequestError, raw_problem
from services.api.streams import Streams, asks_for_stream, asks_to_upgrade, head_bytes
from services.runtime.metrics import CONNECTIONS_CUT


class HttpProtocol(HttpToolsProtocol):
    """One connection. Timers run only while a client owes bytes that one packet would bring."""

    limits = ConnectionLimits()
    hosts = HostRules()
    table = table_of(limits)
    spent_keyless: Callable[[str], ProblemError | None] = staticmethod(lambda _: None)
    streams: Streams | None = None
    keyed = False
    _held = False
    _authorized = False
    _due: TimerHandle | None = None
    _unread: TimerHandle | None = None
    _crowded = False
    _refused: RefusedRequestError | None = None
    # State of the request being read: whether it is complete, whether its headers are, and their
    # bytes in earlier packets. Requests are numbered to tell two apart.
    _in_message = False
    _in_head = False
    _head_bytes = 0
    _packet_bytes = 0
    _upgrade_ignored = False
    # The head of a request that is answered by a stream, once the request is complete.
    _streamed = False
    _stream_head: bytes | None = None
    # Bytes and number of the trailers of the request being read.
    _only_frame = False
    _frame_bytes = 0
    _trailers = 0
    _heads = 0

    def connection_made(self, transport: BaseTransport) -> None:
        """Count the connection, close another if there are too many, and limit its time until
        the first request."""
        super().connection_made(cast(Transport, transport))
        self._idle = IdleTimer(self.loop, self._close)
        # Requests without a complete answer, in order; only the first is being processed.
        self._open: deque[RequestResponseCycle] = deque()
        self._address = self.client[0] if self.client else ""
        admission = self.table.add(self, self._address, self.loop.time())
        if admission == "refused":
            CONNECTIONS_CUT.labels("too_many").inc()
            self.transport.abort()
            return
        self._crowded = admission == "overflow"
        self._keyed_idle_s = self.timeout_keep_alive
        self.timeout_keep_alive = min(self.limits.keyless_idle_s, self.timeout_keep_alive)
        wait_s = self.limits.crowd_s if self._crowded else self.limits.head_s
        self._due = self.loop.call_later(wait_s, self._give_up)

    @property
    def busy(self) -> bool:
        """True while a request has no complete answer."""
        return bool(self._open)

    def show_key(self) -> None:
        """Note that a request of this connection had a valid key."""
        self.keyed = True
        self.timeout_keep_alive = self._keyed_idle_s
        self.table.show_key(self, self.loop.time())

    def evict(self) -> None:
        """Close at once, in favour of another connection."""
        CONNECTIONS_CUT.labels("evicted").inc()
        self._not_due()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timers: none outlives its connection."""
        self.table.remove(self)
        if self.scope is not None:
            # Else each closed connection would be a cycle, and the collector runs rarely.
            self.scope.pop("connection", None)  # type: ignore[typeddict-item]
        self._not_due()
        self._idle.cancel()
        if self._unread is not None:
            self._unread.cancel()
        for cycle in self._open:
            # uvicorn ends only the last request, and earlier ones would write to a closed
            # connection.
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, then start a timer if the client still owes bytes."""
        if self._crowded:
            self._cut("too_many", not_accepted("too many connections", close=True))
            return
        self.table.heard(self, self.loop.time())
        heads = self._heads
        self._packet_bytes = len(data)
        self._only_frame = True
        self._parse(data)
        if self._held:
            return
        if self._frame_too_large(len(data)):
            self._cut("head_too_large", self._head_too_large())
            return
        if (self._open and not self._in_head) or self.transport.is_closing():
            return
        if self._in_head and self._heads == heads:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes_max:
                self._cut("head_too_large", self._head_too_large())
                return
        self._watch()

    def _parse(self, data: bytes) -> None:
        if self._held:
            return
        self._idle.stop()
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    if self._stream_head is not None:
                        self._hand_over(self._stream_head)
                    return
                except httptools.HttpParserUpgrade as upgrade:
                    if not self._upgrade_ignored:
                        # CONNECT: what follows is for no server here.
                        self.cycle.keep_alive = False
                        return
                    rest = data[upgrade.args[0] :]
                    if not self._open and asks_to_upgrade(self.streams, self.url, self.headers):
                        self._hand_over(head_bytes(self.parser, self.url, self.headers) + rest)
                        return
                    # The parser ends at an Upgrade, and takes the rest for another protocol. No
                    # other one is spoken here, so the same request is read without its Upgrade
                    # (RFC 9110 7.8), and the rest with it.
                    headers = [each for each in self.headers if each[0] != b"upgrade"]
                    data = head_bytes(self.parser, self.url, headers) + rest
                    self._upgrade_ignored = False
                    self.parser = httptools.HttpRequestParser(self)
                    # As uvicorn's own: a request sent behind a `Connection: close` is no error.
                    self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        except httptools.HttpParserError:
            message = "Invalid HTTP request received."
            self.logger.warning(message)
            self.send_400_response(message)

    def _hand_over(self, head: bytes) -> None:
        """Hand the connection to the streams. `head`: the request, and what followed it."""
        if self.streams is None or self._held:
            return
        problem = self.streams.refusal(self._address)
        if problem is not None:
            self._cut("streams", problem)
            return
        # This object is out of use from here on: no timer and no entry may outlive that.
        self._not_due()
        self._idle.cancel()
        self._held = True
        self.table.remove(self)
        self.connections.discard(self)
        self.streams.take(self.transport, self._address, head)

    def _watch(self) -> None:
        if self._open:
            return
        if self._in_message:
            if self._due is None:
                self._due = self.loop.call_later(self.limits.head_s, self._give_up)
        elif not self._idle.runs and self._due is None:
            # The rest of a request that is answered already, or nothing.
            self._idle.start(self.timeout_keep_alive)

    def on_message_begin(self) -> None:
        """The headers of a request begin."""
        self._authorized = False
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_message = self._in_head = True
        self._only_frame = False
        self._head_bytes = self._frame_bytes = self._trailers = 0
        self._hosts: list[bytes] = []
        self._heads += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; after the body a trailer, which nothing here reads: it is only counted."""
        if self._in_head:
            name = name.lower()
            self.headers.append((name, value))
            if name == b"host":
                self._hosts.append(value)
            elif name == b"authorization":
                self._authorized = True
            elif name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            return
        self._trailers += 1
        if self._trailers > self.limits.head_fields_max:
            raise self._refusal("head_too_large", self._head_too_large())

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._held or self._streamed:
            return
        self._only_frame = False
        super().on_body(body)

    def _frame_too_large(self, size: int) -> bool:
        # Chunk extensions and trailers, in packets without anything else: the parser keeps an
        # unfinished trailer.
        if self._only_frame and self._in_message and not self._in_head:
            self._frame_bytes += size
        return self._frame_bytes > self.limits.head_bytes_max

    def on_headers_complete(self) -> None:
        """The headers are complete: check their size, and the number of requests in front."""
        if self._held or self._stream_head is not None:
            return
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._upgrade_ignored = True
            return
        if problem := self.hosts.problem(self._hosts, self.parser.get_http_version()):
            raise self._refusal("malformed", problem)
        limits = self.limits
        # Headers that came in one packet below the limit need not be counted.
        if len(self.headers) > limits.head_fields_max or (
            self._head_bytes + self._packet_bytes > limits.head_bytes_max
            and len(head_bytes(self.parser, self.url, self.headers)) > limits.head_bytes_max
        ):
            raise self._refusal("head_too_large", self._head_too_large())
        if len(self._open) > limits.pipelined_max:
            ahead = not_accepted(f"at most {limits.pipelined_max} requests may wait", close=True)
            raise self._refusal("too_many_ahead", ahead)
        if self._due is not None:
            self._not_due()
        self._only_frame = False
        if self._hold_keyless():
            return
        self._streamed = not self._open and asks_for_stream(self.streams, self.parser, self.url)
        if not self._streamed:
            self._accept_head()
        # Only now: a target that cannot be parsed is answered as a malformed head.
        self._in_head = False

    def _accept_head(self) -> None:
        # Start the application, before the body. uvicorn makes the scope when the headers begin,
        # which is here: requests that are not passed on need none.
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        # For the application, which knows whose key is valid.
        self.scope["connection"] = self  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        self._open.append(self.cycle)

    def _hold_keyless(self) -> bool:
        # Floods of requests without any key end here, at a fraction of the cost of the application.
        if self.keyed or self._authorized or self._open:
            return False
        problem = self.spent_keyless(self._address)
        if problem is None:
            return False
        self._held = True
        self.transport.pause_reading()
        self._due = self.loop.call_later(problem.delay_s, self._answer_held, problem)
        return True

    def _answer_held(self, problem: ProblemError) -> None:
        self._due = None
        if not self.transport.is_closing():
            self.transport.write(raw_problem(problem))
            self._close()

    def on_message_complete(self) -> None:
        """The request is complete: the client owes nothing until the next one."""
        if self._upgrade_ignored or self._held or self._stream_head is not None:
            return
        self._in_message = False
        if self._streamed:
            # Handed over behind the parser's call; what follows in the packet is not read.
            self._stream_head = head_bytes(self.parser, self.url, self.headers)
            return
        if self._due is not None:
            self._not_due()
        self._complete_body()

    def _complete_body(self) -> None:
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, part of which may have arrived. As uvicorn's, but for the
        timer."""
        self._open.popleft()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._close()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle.start(self.timeout_keep_alive)
        if self._in_message:
            self._watch()

    def pause_writing(self) -> None:
        """The client does not read its answer: start the time limit."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def send_400_response(self, msg: str) -> None:
        """Answer with a problem and close: later bytes cannot be assigned to a request."""
        if self._refused is not None:
            self._cut(self._refused.reason, self._refused.problem)
        else:
            self._cut("malformed", ProblemError("malformed_request", msg))

    def _refusal(self, reason: str, problem: ProblemError) -> RefusedRequestError:
        # The parser swallows this error and calls send_400_response.
        self._refused = RefusedRequestError(reason, problem)
        return self._refused

    def _give_up(self) -> None:
        self._due = None
        if not self.transport.is_closing():
            late = f"the head did not arrive within {self.limits.head_s:.0f} s"
            # No request was made: an answer would be taken for that of the next request.
            problem = ProblemError("request_timeout", late) if self._in_head else None
            self._cut("too_many" if self._crowded else "slow", problem)

    def _cut(self, reason: str, problem: ProblemError | None) -> None:
        CONNECTIONS_CUT.labels(reason).inc()
        if problem is not None and self._answerable:
            self.transport.write(raw_problem(problem))
        self._close()

    @property
    def _answerable(self) -> bool:
        # An earlier request waits for its answer, and this one would be taken for it. A closed
        # connection means "unknown", which is true.
        if len(self._open) == 1:
            in_body = self._in_message and not self._in_head
            return in_body and not self.cycle.response_started
        return not self._open and (self._in_head or not self._in_message)

    def _close(self) -> None:
        self._not_due()
        self.transport.close()
        # Closing waits until the client has read what was written.
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

    def _head_too_large(self) -> ProblemError:
        limits = self.limits
        return ProblemError(
            "head_too_large",
            f"the head may have {limits.head_bytes_max} bytes and {limits.head_fields_max} headers",
        )
