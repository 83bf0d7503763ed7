"""A market in memory with live feeds, on a real port of the gateway's own HTTP server."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import uvloop
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from schemas.feed import Hello
from services.api.app import ApiApp
from services.api.connection_limits import ConnectionLimits
from services.api.hosts import HostRules
from services.api.server import HttpServer
from services.feeds.handshake import HandshakeRules
from services.feeds.streams import FeedStreams, StreamBounds
from services.runtime.settings import Settings
from tests.support.edge_server import TIMEOUT_S
from tests.support.feed_market import FeedMarket
from tests.support.feed_session import Keys, RecordedCalls

T = TypeVar("T")
MANY = StreamBounds(streams_max=1_000, keyless_per_address_max=0)
_LAST_WRITES_S = 0.2
# The smallest that the kernel allows, so that a client that does not read is behind soon.
_SMALL_BUFFER = 4_096


class FeedServer:
    """The server and its market, which lives on the server's loop."""

    def __init__(self, app: ApiApp, bounds: StreamBounds, limits: ConnectionLimits) -> None:
        self.market = FeedMarket(symbols=2, amended=0.0)
        self.calls = RecordedCalls()
        self.streams = FeedStreams(
            self.market.hub,
            Keys(),
            HandshakeRules(frozenset(), HostRules()),
            Hello(1, "log", "boot", 0, public=True, partitions=1, heartbeat_s=5),
            self.calls,
            bounds,
        )
        self.server = HttpServer(app, Settings(port=0, hosts="x"), limits, self.streams)
        self._stopped_s = self.took_s = 0.0
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])

    async def _serve(self) -> None:
        work = [asyncio.ensure_future(each()) for each in (self.market.hub.run, self.streams.run)]
        await self.server.run()
        self.took_s = self._loop.time() - self._stopped_s
        for each in work:
            each.cancel()
        # As at the end of a process, which closes what is left.
        await asyncio.sleep(_LAST_WRITES_S)
        for connection in list(self.streams._connections):
            connection.abort()
        await asyncio.sleep(0)

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def on_loop(self, work: Callable[[], T]) -> T:
        """The result of `work`, which runs on the server's loop."""

        async def run() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(TIMEOUT_S)

    def trade(self, commands: int) -> None:
        """Apply so many random commands."""
        self.on_loop(lambda: self.market.trade(commands))

    def stop(self) -> float:
        """Stop; seconds until the last request was answered. A second stop does nothing."""
        if self._thread.is_alive():
            self._stopped_s = self._loop.time()
            self.on_loop(self.server.stop)
            self._thread.join(TIMEOUT_S)
            assert not self._thread.is_alive()
            self._loop.close()
        return self.took_s


@contextlib.contextmanager
def feed_server(
    app: ApiApp, bounds: StreamBounds = MANY, limits: ConnectionLimits | None = None
) -> Iterator[FeedServer]:
    """A running server; stopped at the end."""
    running = FeedServer(app, bounds, limits or ConnectionLimits())
    running.start()
    try:
        yield running
    finally:
        running.stop()


class SocketClient:
    """A WebSocket that reads in its calls only."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.connect(("127.0.0.1", port))
        self.protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}/ws"), max_size=None)
        self.protocol.send_request(self.protocol.connect())
        self._send()
        self.messages: list[dict[str, Any]] = []
        while self.protocol.state is State.CONNECTING and self.protocol.handshake_exc is None:
            self._receive()

    def __enter__(self) -> "SocketClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def status(self) -> int:
        """The status of the answer to the handshake."""
        refused = self.protocol.handshake_exc
        return refused.response.status_code if isinstance(refused, InvalidStatus) else 101

    def _send(self) -> None:
        self._socket.sendall(b"".join(self.protocol.data_to_send()))

    def _receive(self) -> bool:
        data = self._socket.recv(65_536)
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            if isinstance(event, Frame) and event.data and self.protocol.state is State.OPEN:
                self.messages.append(json.loads(bytes(event.data)))
        with contextlib.suppress(OSError):
            self._send()
        return bool(data)

    def send(self, **fields: object) -> None:
        """Send an operation."""
        self.protocol.send_text(json.dumps(fields).encode())
        self._send()

    def ask(self, **fields: object) -> dict[str, Any]:
        """The response to an operation."""
        self.send(id="asked", **fields)
        return self.wait_for(lambda each: each.get("id") == "asked")

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read until there is such a message; it and those before are removed."""
        while True:
            for number, message in enumerate(self.messages):
                if wanted(message):
                    del self.messages[: number + 1]
                    return message
            assert self._receive(), f"closed: {self.protocol.close_exc}"

    def read_to_the_end(self) -> int | None:
        """Read until the server closes; the code of its close frame."""
        with contextlib.suppress(ConnectionResetError):
            while self._receive():
                pass
        received = self.protocol.close_rcvd
        return None if received is None else received.code
