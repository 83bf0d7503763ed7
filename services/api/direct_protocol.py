"""A connection that answers hot calls itself, and passes all other requests on to ASGI.

A hot call is answered here if it is the only request of its packet, complete in it, and if no
earlier request of the connection waits for its answer. So the bounds on pipelined requests and on
slow bodies, which the other way has, need no second implementation.
"""

from asyncio import BaseTransport
from collections.abc import Mapping

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from services.api.app import ApiApp
from services.api.connection_limits import ConnectionLimits
from services.api.connections import table_of
from services.api.direct import TARGET_BYTES_MAX, DirectCall, DirectCalls, HotCall
from services.api.headers import read_headers
from services.api.messages import BODILESS, Response, Scope
from services.api.protocol import HttpProtocol
from services.api.streams import Streams

# Packets with longer headers are unusual; theirs are not remembered.
_REMEMBERED_BYTES_MAX = 2_048


class DirectProtocol(HttpProtocol):
    """One connection of a server with hot calls."""

    calls: DirectCalls
    # The date and other headers of every answer, as uvicorn has them and as bytes.
    _default_headers: tuple[list[tuple[bytes, bytes]] | None, bytes] = (None, b"")
    # True until the first request of a packet begins.
    _packet_begins = False
    _first_of_packet = False
    _hot: HotCall | None = None
    _hot_body = b""
    # The headers of the previous hot call: a client repeats most of its headers.
    _pairs: list[tuple[bytes, bytes]] | None = None
    _headers_read: Mapping[str, str]

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin a connection."""
        super().connection_made(transport)
        self._caller: Scope = {"client": self.client, "connection": self}

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection, without leaving a reference cycle."""
        super().connection_lost(exc)
        self._caller.clear()

    def data_received(self, data: bytes) -> None:
        """Answer a hot call that is complete in this packet; other requests go through ASGI."""
        self._packet_begins = not self._in_message
        super().data_received(data)

    def _parse(self, data: bytes) -> None:
        super()._parse(data)
        self._packet_begins = self._first_of_packet = False
        if self._hot is not None:
            self._leave_to_app()

    def on_message_begin(self) -> None:
        """The headers of a request begin."""
        self._first_of_packet = self._packet_begins
        self._packet_begins = False
        super().on_message_begin()

    def _accept_head(self) -> None:
        if self._first_of_packet and self._is_usual():
            self._hot = self.calls.find(self.parser.get_method(), self.url)
            if self._hot is not None:
                self._hot_body = b""
                return
        super()._accept_head()

    def _is_usual(self) -> bool:
        return (
            not self._open
            and not self.expect_100_continue
            and not self.flow.write_paused
            and len(self.url) <= TARGET_BYTES_MAX
            and self.parser.get_http_version() == "1.1"
            and "transfer-encoding" not in self._read_headers()
        )

    def _read_headers(self) -> Mapping[str, str]:
        if self._pairs != self.headers:
            self._headers_read = read_headers(self.headers)
            self._pairs = self.headers
        return self._headers_read

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._hot is None:
            super().on_body(body)
        else:
            self._only_frame = False
            self._hot_body += body

    def _leave_to_app(self) -> None:
        # The rest of the body is still to come.
        self._hot = None
        if self.transport.is_closing():
            return
        super()._accept_head()
        if self._hot_body:
            super().on_body(self._hot_body)

    def _complete_body(self) -> None:
        if self._hot is None:
            super()._complete_body()
            return
        hot, self._hot = self._hot, None
        call = DirectCall(self.calls, self, hot, self.parser.should_keep_alive())
        self.cycle = call  # type: ignore[assignment]
        self._open.append(call)  # type: ignore[arg-type]
        self.calls.begin(call, self._read_headers(), self._hot_body, self._caller)
        if self._packet_bytes > _REMEMBERED_BYTES_MAX:
            self._pairs = None

    def send_answer(self, call: DirectCall, response: Response) -> None:
        """Write a whole answer, unless the client is gone."""
        call.response_complete = True
        if call.disconnected:
            return
        head, closes = self._head_of(call, response)
        self.transport.write(head + response.body)
        if closes:
            # What the client has sent behind this request is not read.
            self._held = True
            self.transport.close()
        self.on_response_complete()

    def _head_of(self, call: DirectCall, response: Response) -> tuple[bytes, bool]:
        """The bytes that uvicorn would write, and whether the connection ends with the answer."""
        closes = not call.keep_alive
        text = f"x-request-id: {call.request_id}\r\n"
        if response.status not in BODILESS:
            size = len(response.body)
            text += f"content-type: {response.content_type}\r\ncontent-length: {size}\r\n"
        announced = False
        for name, value in response.headers:
            text += f"{name.lower()}: {value}\r\n"
            announced = announced or (name == "Connection" and value == "close")
        if closes and not announced:
            text += "connection: close\r\n"
        head = (STATUS_LINE[response.status], self._default_head(), text.encode("latin-1"), b"\r\n")
        return b"".join(head), closes or announced

    def _default_head(self) -> bytes:
        defaults = self.server_state.default_headers
        known, head = self._default_headers
        if known is not defaults:
            # uvicorn makes a new list every second.
            head = b"".join(b"%b: %b\r\n" % pair for pair in defaults)
            type(self)._default_headers = (defaults, head)
        return head


def direct_protocol(
    limits: ConnectionLimits, app: ApiApp, streams: Streams | None = None
) -> type[DirectProtocol]:
    """The protocol of an edge with these limits: uvicorn creates its connections from a class.

    `streams` takes over connections by Upgrade.
    """
    parts = {
        "limits": limits,
        "table": table_of(limits),
        "spent_keyless": staticmethod(app.spent_keyless),
        "streams": streams,
        "calls": app.direct,
    }
    return type("DirectProtocolOfEdge", (DirectProtocol,), parts)
