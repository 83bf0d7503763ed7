"""One event stream (server-sent events) on the gateway's port: `GET /stream`.

It has the messages of the WebSocket feed, each as an event. Frames are encoded once for all
clients; here each is given another frame.
"""

import secrets
from asyncio import BaseTransport, Protocol, Transport
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from services.api.headers import SECURITY_HEADERS, bearer_key, chosen_request_id
from services.api.messages import ProblemError
from services.api.raw_problem import raw_problem
from services.api.token_bucket import network_of
from services.feeds.client import FeedClient
from services.feeds.connection import (
    CLOSE_S_MAX,
    HIGH_WATER_BYTES,
    LOW_WATER_BYTES,
    limit_send_buffer,
)
from services.feeds.hub import FeedHub
from services.feeds.session import FeedSession
from services.feeds.stream_query import commands_of, subscriptions
from services.runtime.metrics import STREAM_BYTES

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\n"
    b"content-type: text/event-stream\r\n"
    b"cache-control: no-store, no-transform\r\n"
    b"x-accel-buffering: no\r\n"
    b"connection: close\r\n"
) + b"".join(f"{name}: {value}\r\n".encode() for name, value in SECURITY_HEADERS)
# Of a WebSocket only: the query stands in their place.
_LEFT_OUT: Final = frozenset((b"hello", b"response"))
_TYPE_BEGIN: Final = len(b'{"type":"')
_TWO_BYTES, _EIGHT_BYTES = 126, 127


class EventStream(Protocol):
    """Takes over a transport whose request was `GET /stream`."""

    def __init__(
        self,
        hub: FeedHub,
        address: str,
        make_session: Callable[[FeedClient], FeedSession],
        refusal: Callable[[list[str], list[str]], str | None],
        clock: Callable[[], float],
    ) -> None:
        self._hub = hub
        self._make_session = make_session
        self._refusal = refusal
        self._clock = clock
        self.client = FeedClient(self, address)
        self.network = network_of(address)
        self._session: FeedSession | None = None
        self._closing_since_s: float | None = None
        self.ended: Callable[[EventStream], None] = lambda _: None

    def begin(self, transport: Transport, head: bytes) -> None:
        """Take over the transport; `head`: the request as it was received."""
        self._transport = transport
        transport.set_protocol(self)
        transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        limit_send_buffer(transport)
        target, headers = _request(head)
        given = headers.get("x-request-id", [""])
        request_id = chosen_request_id({"x-request-id": given[-1]}) or secrets.token_hex(8)
        try:
            self._subscribe(target, headers)
        except ProblemError as problem:
            self._hub.remove(self.client)
            self._transport.write(raw_problem(problem, request_id))
            self._end()
            return
        self._transport.write(b"%bx-request-id: %b\r\n\r\n" % (_HEAD, request_id.encode()))
        self._transport.write(b"retry: 2000\n\n")
        self.client.write_out()

    def _subscribe(self, target: str, headers: dict[str, list[str]]) -> None:
        reason = self._refusal(headers.get("host", []), headers.get("origin", []))
        if reason is not None:
            raise ProblemError("forbidden", reason)
        wanted, position = subscriptions(target.partition("?")[2])
        resumed_from = headers.get("last-event-id", [position])[-1]
        session = self._make_session(self.client)
        if authorization := headers.get("authorization"):
            session.log_in(bearer_key(authorization[-1]) or "")
        self._hub.add(self.client)
        if resumed_from:
            commands = commands_of(resumed_from, self._hub.partitions)
            broker_id = self.client.broker_id
            wanted = [self._hub.resumed(each, commands, broker_id) for each in wanted]
        for message in wanted:
            session.subscribe(message)
        self._session = session

    def data_received(self, data: bytes) -> None:
        """Nothing is read from the client of an event stream."""

    def write(self, frames: bytes) -> None:
        """Write whole frames as events, unless the stream is closing."""
        events = events_of(frames, self._hub.position_of(self.client))
        if events and self._closing_since_s is None and not self._transport.is_closing():
            STREAM_BYTES.inc(len(events))
            self._transport.write(events)

    def buffered(self) -> int:
        """Bytes that the kernel has not taken."""
        return self._transport.get_write_buffer_size()

    def cut(self, code: int, reason: str) -> None:
        """End the stream; its last event has the reason."""
        if self._closing_since_s is None:
            event = msgspec.json.encode({"type": "closing", "reason": reason})
            self._transport.write(b"event: closing\ndata: %b\n\n" % event)
            self._end()

    def _end(self) -> None:
        self._closing_since_s = self._clock()
        self._transport.close()

    def check(self, now_s: float) -> None:
        """End a stream whose key has ended, and reset one that does not close."""
        if self._closing_since_s is not None:
            if now_s - self._closing_since_s > CLOSE_S_MAX:
                self._transport.abort()
        elif self._session is not None:
            self._session.check_key()

    def abort(self) -> None:
        """Reset the connection."""
        self._transport.abort()

    def pause_writing(self) -> None:
        """The client does not read fast enough."""
        self.client.fall_behind(self._clock())

    def resume_writing(self) -> None:
        """The client reads again."""
        self.client.catch_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._hub.remove(self.client)
        self.ended(self)

    def connection_made(self, transport: BaseTransport) -> None:
        """Never called: `begin` takes over an open transport."""


def _request(head: bytes) -> tuple[str, dict[str, list[str]]]:
    """Target and headers; names are in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, list[str]] = {}
    for line in filter(None, lines):
        name, _, value = line.partition(": ")
        headers.setdefault(name, []).append(value)
    return first.split(" ")[1], headers


def events_of(frames: bytes, position: str) -> bytes:
    """Whole WebSocket frames of the hub as events; the last one has the position as its id."""
    events = [b"event: %b\ndata: %b\n" % each for each in _messages(frames)]
    if not events:
        return b""
    if position:
        events[-1] += b"id: %b\n" % position.encode()
    return b"\n".join([*events, b""])


def _messages(frames: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 0
    while start < len(frames):
        size = frames[start + 1]
        start += 2
        if size == _TWO_BYTES:
            size, start = int.from_bytes(frames[start : start + 2]), start + 2
        elif size == _EIGHT_BYTES:
            size, start = int.from_bytes(frames[start : start + 8]), start + 8
        message = frames[start : start + size]
        kind = message[_TYPE_BEGIN : message.index(b'"', _TYPE_BEGIN)]
        if kind not in _LEFT_OUT:
            yield kind, message
        start += size
