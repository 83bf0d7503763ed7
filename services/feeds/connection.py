"""One WebSocket on the gateway's port, from the handshake to the close.

`websockets` keeps the protocol's state, and parses all frames but those of usual messages. Frames
with market data are ready bytes, written to the transport directly. All timers of all connections
are one loop's turn per second.
"""

import logging
import socket
from asyncio import BaseTransport, Protocol, Transport
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from services.api.headers import SECURITY_HEADERS, bearer_key
from services.api.messages import ProblemError
from services.api.token_bucket import network_of
from services.feeds.client import FeedClient
from services.feeds.frames import FrameSplitter
from services.feeds.hub import FeedHub
from services.feeds.session import FeedSession
from services.runtime.metrics import STREAM_BYTES

log = logging.getLogger(__name__)

MESSAGE_BYTES_MAX: Final = 64 * 1024
# Of the kernel: without a bound a stalled client holds megabytes there.
SEND_BUFFER_BYTES: Final = 256 * 1024
# Of this process: above the first a client is behind, below the second no longer.
HIGH_WATER_BYTES: Final = 256 * 1024
LOW_WATER_BYTES: Final = 64 * 1024
PING_INTERVAL_S: Final = 20.0
START_S_MAX: Final = 10.0
# Time for a client to take the close frame, before its connection is reset.
CLOSE_S_MAX: Final = 5.0
SILENT: Final = 4408
_UNSUPPORTED: Final = 1003
_END_OF_HEAD: Final = b"\r\n\r\n"
# A ping without content.
_PING: Final = b"\x89\x00"
# The library would log each malformed handshake and frame of any client.
_quiet = logging.getLogger(f"{__name__}.frames")
_quiet.disabled = True


def limit_send_buffer(transport: Transport) -> None:
    """Bound what the kernel keeps for a client that does not read."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def _require_no_query(request: Request) -> None:
    if "?" in request.path:
        detail = "the address takes no parameters; a key is sent in a header or by `login`"
        raise ProblemError("invalid", detail)


class FeedConnection(Protocol):
    """Takes over a transport whose HTTP request asked for a WebSocket."""

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
        self._frames = ServerProtocol(max_size=MESSAGE_BYTES_MAX, logger=_quiet)
        self._splitter = FrameSplitter(MESSAGE_BYTES_MAX)
        self.client = FeedClient(self, address)
        self.network = network_of(address)
        self._session: FeedSession | None = None
        self._parts: list[bytes] = []
        self._started_s = self._heard_s = self._pinged_s = clock()
        self._closing_since_s: float | None = None

    def begin(self, transport: Transport, head: bytes) -> None:
        """Take over the transport; `head`: the request as it was received, and what followed."""
        self._transport = transport
        transport.set_protocol(self)
        transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        limit_send_buffer(transport)
        request, _, rest = head.partition(_END_OF_HEAD)
        self._read(request + _END_OF_HEAD)
        if rest:
            self.data_received(rest)

    def data_received(self, data: bytes) -> None:
        """Parse, and carry out complete messages."""
        self._heard_s = self._clock()
        for frame in self._splitter.split(data):
            is_open = self._frames.state is State.OPEN
            if is_open and frame.is_pong:
                # All that it shows is that the client is there.
                continue
            # A message in several frames ends before another one begins.
            text = None if self._parts else frame.text()
            if text is None or self._session is None or not is_open:
                self._read(frame.data)
            else:
                self._session.receive(text)

    def _read(self, data: bytes | bytearray) -> None:
        """Pass the request or a frame to the protocol."""
        self._frames.receive_data(data)
        for event in self._frames.events_received():
            if isinstance(event, Request):
                self._open(event)
            elif self._closing_since_s is not None:
                # The close is sent: what follows, such as orders of a revoked key, is not read.
                break
            elif isinstance(event, Frame) and self._session is not None:
                self._take(event, self._session)
        self._flush_protocol()

    def _open(self, request: Request) -> None:
        headers = request.headers
        reason = self._refusal(headers.get_all("Host"), headers.get_all("Origin"))
        if reason is not None:
            self._reject(HTTPStatus.FORBIDDEN, reason)
            return
        session = self._make_session(self.client)
        try:
            _require_no_query(request)
            if authorization := headers.get("Authorization"):
                session.log_in(bearer_key(authorization) or "")
        except ProblemError as problem:
            self._reject(HTTPStatus(problem.status), problem.detail)
            return
        response = self._frames.accept(request)
        self._frames.send_response(response)
        if self._frames.state is State.OPEN:
            self._flush_protocol()
            self._hub.add(self.client)
            self._session = session
            self.client.write_out()

    def _reject(self, status: HTTPStatus, reason: str) -> None:
        response = self._frames.reject(status, f"{reason}\n")
        response.headers.update(SECURITY_HEADERS)
        self._frames.send_response(response)

    def _take(self, frame: Frame, session: FeedSession) -> None:
        if frame.opcode is Opcode.BINARY:
            self._hub.cut(self.client, _UNSUPPORTED, "binary_message")
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._parts.append(bytes(frame.data))
            if frame.fin:
                text = b"".join(self._parts)
                self._parts.clear()
                session.receive(text)

    def _flush_protocol(self) -> None:
        for data in self._frames.data_to_send():
            if self._transport.is_closing():
                return
            if data:
                self._transport.write(data)
            else:
                self._transport.close()

    def write(self, frames: bytes) -> None:
        """Write whole frames, unless the connection is closing."""
        if self._frames.state is State.OPEN and not self._transport.is_closing():
            STREAM_BYTES.inc(len(frames))
            self._transport.write(frames)

    @property
    def in_flight(self) -> int:
        """Number of orders and changes that wait for their responses."""
        return 0 if self._session is None else self._session.in_flight

    def buffered(self) -> int:
        """Bytes that the kernel has not taken."""
        return self._transport.get_write_buffer_size()

    def cut(self, code: int, reason: str) -> None:
        """Send a close frame; the connection is reset if the client does not take it soon."""
        if self._closing_since_s is None:
            self._closing_since_s = self._clock()
            if self._session is not None:
                # Here rather than when the connection is gone: that may take seconds.
                self._session.end()
        try:
            self._frames.send_close(code, reason)
        except InvalidState:
            return
        self._flush_protocol()

    def check(self, now_s: float) -> None:
        """Ping, and end connections that are silent, have not begun, or do not close."""
        if self._closing_since_s is not None:
            if now_s - self._closing_since_s > CLOSE_S_MAX:
                self._transport.abort()
            return
        if self._session is None:
            if now_s - self._started_s > START_S_MAX:
                self._transport.abort()
            return
        silence_s_max = self._session.silence_s_max
        if now_s - self._heard_s > silence_s_max or (
            not self._session.active and now_s - self._started_s > START_S_MAX
        ):
            self._hub.cut(self.client, SILENT, "silent")
            return
        self._session.check_key()
        # A client that sent something since needs no ping.
        quiet_s = now_s - max(self._heard_s, self._pinged_s)
        if quiet_s >= min(PING_INTERVAL_S, silence_s_max / 3):
            self._pinged_s = now_s
            self.write(_PING)

    def abort(self) -> None:
        """Reset the connection."""
        self._transport.abort()

    def pause_writing(self) -> None:
        """The client does not read fast enough."""
        self.client.fall_behind(self._clock())

    def resume_writing(self) -> None:
        """The client reads again."""
        self.client.catch_up()

    def eof_received(self) -> bool:
        """The client sends nothing more: close."""
        self._frames.receive_eof()
        self._flush_protocol()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._hub.remove(self.client)
        if self._session is not None and self._closing_since_s is None:
            self._session.end()
        self.ended(self)

    ended: Callable[["FeedConnection"], None] = staticmethod(lambda _: None)

    def connection_made(self, transport: BaseTransport) -> None:
        """Never called: `begin` takes over an open transport."""
