"""A connection that answers hot calls itself, and passes all other requests on to ASGI.

A hot call is answered here if it is the only request of its packet, complete in it, and if no
earlier request of the connection waits for its answer. So the bounds on pipelined requests and on
slow bodies are only in the ASGI path.
"""

from asyncio import BaseTransport
from collections.abc import Mapping
from types import MappingProxyType

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from services.api.app import ApiApp
from services.api.connection_limits import ConnectionLimits
from services.api.connections import table_of
from services.api.direct import TARGET_BYTES_MAX, DirectCall, DirectCalls, HotCall
from services.api.headers import read_headers
from services.api.hosts import HostRules
from services.api.messages import BODILESS, Response, Scope
from services.api.protocol import HttpProtocol
from services.api.repeated_headers import RepeatedHeaders
from services.api.streams import Streams

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class DirectProtocol(HttpProtocol):
    """One connection of a server with hot calls."""

    calls: DirectCalls
    # Those of all connections: some clients send the requests of many brokers through a few.
    repeated: RepeatedHeaders
    # The date and other headers of every answer, as uvicorn has them and as bytes.
    _default_headers: tuple[list[tuple[bytes, bytes]] | None, bytes] = (None, b"")
    # True until the first request of a packet begins.
    _packet_begins = False
    _first_of_packet = False
    _hot: HotCall | None = None
    _hot_body = b""
    _headers_read: Mapping[str, str] = _NO_HEADERS
    # The packet that is being parsed.
    _packet = b""

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
        if self._answer_repeated(data):
            return
        self._packet_begins = not self._in_message
        self._packet = data
        super().data_received(data)
        self._packet = b""

    def _answer_repeated(self, data: bytes) -> bool:
        """Answer a hot call whose header lines are known, without the parser, which is between two
        requests and stays there. False: the packet is anything else."""
        if (
            self._in_message
            or not self.keyed
            or self._open
            or self._held
            or self.flow.write_paused
            or self.transport.is_closing()
        ):
            return False
        request = self.repeated.find(data)
        if request is None or len(request.target) > TARGET_BYTES_MAX:
            return False
        hot = self.calls.find(request.method, request.target)
        if hot is None:
            return False
        self.table.heard(self, self.loop.time())
        self._idle.stop()
        self._not_due()
        self._begin(hot, request.headers, request.body)
        return True

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
            self._headers_read = read_headers(self.headers)
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
            and all(name != b"transfer-encoding" for name, _ in self.headers)
        )

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
        headers, self._headers_read = self._headers_read, _NO_HEADERS
        keep_alive = self.parser.should_keep_alive()
        line = self.parser.get_method() + b" " + self.url
        self._begin(hot, headers, self._hot_body, keep_alive=keep_alive)
        if self.keyed:
            self.repeated.remember(self._packet, line, headers, fields=len(self.headers))

    def _begin(
        self, hot: HotCall, headers: Mapping[str, str], body: bytes, *, keep_alive: bool = True
    ) -> None:
        call = DirectCall(self.calls, self, hot, keep_alive)
        self.cycle = call  # type: ignore[assignment]
        self._open.append(call)  # type: ignore[arg-type]
        self.calls.begin(call, headers, body, self._caller)

    def send_answer(self, call: DirectCall, response: Response) -> None:
        """Write a whole answer, unless the client is gone."""
        call.response_complete = True
        if call.disconnected:
            return
        head, closes = self._head_of(call, response)
        self.transport.write(head + response.body)
        if closes:
            # Requests behind this one are not read.
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
    limits: ConnectionLimits,
    app: ApiApp,
    streams: Streams | None = None,
    hosts: HostRules = HttpProtocol.hosts,
) -> type[DirectProtocol]:
    """The protocol of an edge with these limits: uvicorn creates its connections from a class.

    `streams` takes over connections by Upgrade.
    """
    parts = {
        "limits": limits,
        "hosts": hosts,
        "table": table_of(limits),
        "spent_keyless": staticmethod(app.spent_keyless),
        "streams": streams,
        "calls": app.direct,
        "repeated": RepeatedHeaders(),
    }
    return type("DirectProtocolOfEdge", (DirectProtocol,), parts)
