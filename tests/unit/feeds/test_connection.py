"""One WebSocket over a transport in memory: handshake, messages, and what a close ends."""

import asyncio
from math import ceil
from typing import Any, cast

import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from schemas.feed_requests import SILENCE_S_MAX
from services.api.messages import ProblemError
from services.feeds.connection import CLOSE_S_MAX, PING_INTERVAL_S, FeedConnection
from services.feeds.session import FeedSession
from tests.support.feed_market import FeedMarket


class MemoryTransport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = self.aborted = False

    def set_protocol(self, protocol: object) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        assert high > low

    def get_extra_info(self, name: str) -> None:
        assert name == "socket"

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True


class RecordingSession:
    """Keeps the messages that it received."""

    active = True

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.keys: list[str] = []
        self.silence_s_max = SILENCE_S_MAX
        self.ends = 0

    def log_in(self, key: str) -> None:
        if key == "wrong":
            raise ProblemError("unauthenticated", "no such key")
        self.keys.append(key)

    def receive(self, text: bytes) -> None:
        self.received.append(text)

    def end(self) -> None:
        self.ends += 1

    def check_key(self) -> None:
        pass


class ConnectedSocket:
    """A connection, its session, and a client that speaks the protocol.

    `behind`: bytes in the packet of the handshake.
    """

    def __init__(
        self, refusal: str | None = None, key: str = "", query: str = "", behind: bytes = b""
    ) -> None:
        self.session = RecordingSession()
        self.transport = MemoryTransport()
        self.now_s = 0.0
        self.market = FeedMarket()
        self.connection = FeedConnection(
            self.market.hub,
            "127.0.0.1",
            lambda client: cast(FeedSession, self.session),
            lambda hosts, origins: refusal,
            lambda: self.now_s,
        )
        self.client = ClientProtocol(parse_uri(f"ws://localhost/ws{query}"))
        request = self.client.connect()
        if key:
            request.headers["Authorization"] = f"Bearer {key}"
        self.client.send_request(request)
        transport: Any = self.transport
        self.connection.begin(transport, b"".join(self.client.data_to_send()) + behind)
        self.client.receive_data(self.transport.written)

    def send(self, text: bytes) -> None:
        self.client.send_text(text)
        self.connection.data_received(b"".join(self.client.data_to_send()))


def test_message_reaches_the_session() -> None:
    socket = ConnectedSocket()
    socket.send(b"one")
    assert socket.session.received == [b"one"]


def test_refused_handshake_is_answered_403_and_closed() -> None:
    socket = ConnectedSocket("not this page")
    assert socket.transport.written.startswith(b"HTTP/1.1 403")
    assert b"x-content-type-options: nosniff" in socket.transport.written
    assert socket.transport.closed


def test_key_of_the_handshake_is_a_login() -> None:
    assert ConnectedSocket(key="mx_alfa").session.keys == ["mx_alfa"]
    socket = ConnectedSocket(key="wrong")
    assert socket.transport.written.startswith(b"HTTP/1.1 401")
    assert socket.transport.closed
    assert len(socket.market.hub) == 0


def test_key_in_the_address_is_refused() -> None:
    socket = ConnectedSocket(query="?key=mx_alfa")
    assert socket.transport.written.startswith(b"HTTP/1.1 422")
    assert socket.session.keys == []


def test_shorter_silence_of_a_login_ends_the_connection_earlier() -> None:
    socket = ConnectedSocket()
    socket.session.silence_s_max = 6
    socket.connection.check(5)
    # It is asked for a pong in time.
    assert socket.transport.written.endswith(b"\x89\x00")
    assert socket.session.ends == 0
    socket.connection.check(7)
    assert socket.session.ends == 1


def test_client_that_was_heard_is_not_asked_for_a_pong() -> None:
    socket = ConnectedSocket()
    quiet = len(socket.transport.written)
    for socket.now_s in (15.0, 30.0, 45.0, 60.0, 75.0):
        socket.send(b"an order")
        socket.connection.check(socket.now_s + PING_INTERVAL_S - 1)
    assert len(socket.transport.written) == quiet
    for since_s in range(ceil(SILENCE_S_MAX)):
        socket.connection.check(socket.now_s + since_s)
    assert socket.transport.written[quiet:] == b"\x89\x00" * 2


def test_pong_is_all_that_an_idle_client_needs_to_send() -> None:
    socket = ConnectedSocket()
    for socket.now_s in (50.0, 100.0, 150.0):
        socket.client.send_pong(b"")
        socket.connection.data_received(b"".join(socket.client.data_to_send()))
        socket.connection.check(socket.now_s + 9)
    assert socket.session.ends == 0
    assert socket.session.received == []
    socket.connection.check(socket.now_s + SILENCE_S_MAX + 1)
    assert socket.session.ends == 1


def test_nothing_is_carried_out_once_the_close_is_sent() -> None:
    socket = ConnectedSocket()
    socket.connection.cut(4403, "key_ended")
    socket.send(b"an order")
    assert socket.session.received == []
    assert socket.session.ends == 1
    socket.connection.connection_lost(None)
    assert socket.session.ends == 1


def test_client_that_does_not_close_is_reset() -> None:
    socket = ConnectedSocket()
    socket.connection.cut(1012, "restart")
    socket.connection.check(CLOSE_S_MAX)
    assert not socket.transport.aborted
    socket.connection.check(CLOSE_S_MAX + 1)
    assert socket.transport.aborted


def test_silent_client_is_closed() -> None:
    socket = ConnectedSocket()
    socket.connection.check(SILENCE_S_MAX + 1)
    assert socket.session.ends == 1


def test_lost_connection_ends_its_session() -> None:
    socket = ConnectedSocket()
    socket.connection.connection_lost(ConnectionResetError())
    assert socket.session.ends == 1
    assert len(socket.market.hub) == 0


def test_flush_that_fails_closes_all_clients_and_later_ones_are_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    market = FeedMarket()
    output = market.client()[1]
    calls = 0
    again = asyncio.Event()

    async def flush() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a fault")
        again.set()

    monkeypatch.setattr(market.hub, "flush", flush)

    async def run() -> None:
        task = asyncio.create_task(market.hub.run())
        await again.wait()
        task.cancel()

    asyncio.run(run())
    assert output.cuts == [(1012, "restart")]
    assert "a flush of the feeds failed" in caplog.text
