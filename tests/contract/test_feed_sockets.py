"""Live feeds over real sockets: bounds on connections, clients that do not read, and the stop."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs
from prometheus_client import REGISTRY

from conformance.api import eventually
from services.api.messages import Response
from services.feeds import client as feed_client
from services.feeds import streams
from services.feeds.connection import HIGH_WATER_BYTES, LOW_WATER_BYTES, SEND_BUFFER_BYTES
from services.feeds.hub import SLOW_CONSUMER
from services.feeds.streams import StreamBounds
from tests.contract.test_http_sockets import BOUNDS, GET, edge
from tests.support.edge_server import TIMEOUT_S, RawClient
from tests.support.feed_server import FeedServer, SocketClient, feed_server
from tests.support.feed_session import KEY, ORDER

# Commands of one batch; some hundred messages for a client of everything.
BATCH = 300


@pytest.fixture
def feeds() -> Iterator[FeedServer]:
    with feed_server(edge()) as running:
        yield running


def connect(feeds: FeedServer) -> SocketClient:
    return SocketClient(feeds.server.port)


def flow_until_behind(feeds: FeedServer) -> None:
    """Trade until a client does not keep up."""

    def one_is_behind() -> bool:
        feeds.trade(BATCH)
        return feeds.on_loop(lambda: any(each.behind for each in feeds.market.hub.clients()))

    eventually("a client is behind", one_is_behind)


def require_equal_trades(feeds: FeedServer, received: list[dict[str, Any]]) -> None:
    for symbol in feeds.market.symbols:
        expected = [each for each in feeds.market.trades if each["symbol"] == symbol]
        assert [each for each in received if each["symbol"] == symbol] == expected


def test_streams_beyond_the_bound_are_503_and_requests_are_still_answered() -> None:
    bounds = StreamBounds(streams_max=2, keyless_per_address_max=0)
    limits = structs.replace(BOUNDS, connections_max=1)
    with feed_server(edge(), bounds, limits) as feeds:
        with connect(feeds) as one, connect(feeds) as two, connect(feeds) as three:
            assert (one.status, two.status, three.status) == (101, 101, 503)
            with RawClient(feeds.server.port) as client:
                client.send(GET)
                assert client.answers(1) == [200]
                client.send(b"GET /stream?channels=trades&symbols=* HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.answers(1) == [503]
        eventually("all are gone", lambda: feeds.on_loop(lambda: len(feeds.market.hub)) == 0)
        with connect(feeds) as again:
            assert again.status == 101


def test_streams_of_one_address_without_a_key_are_bounded() -> None:
    bounds = StreamBounds(streams_max=9, keyless_per_address_max=2)
    with (
        feed_server(edge(), bounds) as feeds,
        connect(feeds) as one,
        connect(feeds),
        connect(feeds) as third,
    ):
        assert third.status == 429
        assert one.ask(op="login", key=KEY)["status"] == 200
        with connect(feeds) as fourth:
            assert fourth.status == 101


def test_stream_has_neither_time_limits_nor_a_place_of_http() -> None:
    limits = structs.replace(BOUNDS, head_s=0.2, idle_s=1, keyless_idle_s=1, unread_s=0.2)
    with feed_server(edge(), limits=limits) as feeds, connect(feeds) as client:
        assert client.ask(op="subscribe", channel="book", symbols=["S0"])["status"] == 200
        # Longer than every limit of a request.
        threading.Event().wait(1.5)
        assert client.ask(op="ping")["status"] == 200
        assert REGISTRY.get_sample_value("exchange_http_connections") == 0


def test_buffers_of_a_stream_are_bounded_in_the_kernel_and_here(feeds: FeedServer) -> None:
    with connect(feeds):
        transports = [each._transport for each in feeds.streams._connections]
        limits = [each.get_write_buffer_limits() for each in transports]
        assert limits == [(LOW_WATER_BYTES, HIGH_WATER_BYTES)]
        kernel = transports[0].get_extra_info("socket")
        # Linux reports twice the value, for its own records.
        assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER_BYTES


def test_client_that_does_not_read_is_closed_and_others_miss_nothing(
    feeds: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_client, "BACKLOG_BYTES_MAX", 100_000)
    with connect(feeds) as stalled, connect(feeds) as reading:
        for client in (stalled, reading):
            assert client.ask(op="subscribe", channel="trades", symbols="*")["status"] == 200
            client.ask(op="subscribe", channel="book", symbols=["S0", "S1"])
        reader = threading.Thread(target=reading.read_to_the_end)
        reader.start()
        held = []

        def one_is_cut() -> bool:
            feeds.trade(BATCH)
            clients = feeds.on_loop(feeds.market.hub.clients)
            held.append(max(each.waiting_bytes for each in clients))
            return len(clients) == 1

        eventually("the client is cut", one_is_cut)
        assert stalled.read_to_the_end() == SLOW_CONSUMER
        feeds.trade(BATCH)

        def trades() -> list[dict[str, Any]]:
            return [each for each in reading.messages if each["type"] == "trade"]

        eventually("all trades are read", lambda: len(trades()) >= len(feeds.market.trades))
        feeds.stop()
        reader.join(TIMEOUT_S)
        require_equal_trades(feeds, trades())
        # The backlog and one write of a flush are beyond the high water.
        assert max(held) < HIGH_WATER_BYTES + 1_000_000


def test_event_stream_that_is_not_read_is_not_cut_as_an_unread_answer() -> None:
    limits = structs.replace(BOUNDS, unread_s=0.3)
    with feed_server(edge(), limits=limits) as feeds, RawClient(feeds.server.port) as client:
        client.send(b"GET /stream?channels=trades&symbols=* HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually("it begins", lambda: feeds.on_loop(lambda: len(feeds.market.hub)) == 1)
        flow_until_behind(feeds)
        threading.Event().wait(1.0)
        sent: list[dict[str, Any]] = []
        while len(sent) < len(feeds.market.trades):
            sent += [each for each in client.events() if each["type"] == "trade"]
        require_equal_trades(feeds, sent)


def test_stop_ends_streams_before_the_time_that_answers_have(feeds: FeedServer) -> None:
    with connect(feeds) as socket_client, RawClient(feeds.server.port) as events:
        socket_client.ask(op="subscribe", channel="book", symbols=["S0"])
        events.send(b"GET /stream?channels=trades&symbols=* HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually("both are there", lambda: feeds.on_loop(lambda: len(feeds.market.hub)) == 2)
        # Of the 11 s that answers in progress have.
        assert feeds.stop() < 5
        assert socket_client.read_to_the_end() == 1012
        assert events.rest().endswith(b'data: {"type":"closing","reason":"restart"}\n\n')


def test_stop_waits_for_the_responses_under_way_and_takes_no_new_orders(feeds: FeedServer) -> None:
    with connect(feeds) as waiting, connect(feeds) as idle:
        for each in (waiting, idle):
            assert each.ask(op="login", key=KEY, cancel_on_disconnect=True)["status"] == 200
        waiting.send(op="place", id="order", order=ORDER)
        eventually("the order is sent", lambda: len(feeds.calls.replies) == 1)
        stopping = threading.Thread(target=feeds.stop)
        stopping.start()
        closing = waiting.wait_for(lambda each: each["type"] == "closing")
        assert closing == {"type": "closing", "reason": "restart", "grace_ms": 2_000}
        assert idle.read_to_the_end() == 1012
        late = ORDER | {"client_order_id": "late"}
        assert waiting.ask(op="place", order=late)["status"] == 503
        # It is in the market now, until the end of its session cancels it.
        feeds.calls.known.add("order-a-1")
        located = Response(201, b"{}", (("Location", "/orders/order-a-1"),))
        feeds.on_loop(lambda: feeds.calls.replies[0](located))
        assert waiting.wait_for(lambda each: each.get("id") == "order")["status"] == 201
        assert waiting.read_to_the_end() == 1012
        stopping.join(TIMEOUT_S)
    assert feeds.calls.sent == [("place", "a-1"), ("withdraw", "order-a-1")]


def test_stop_waits_for_a_response_within_a_bound(
    feeds: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "GRACE_MS", 100)
    with connect(feeds) as waiting:
        waiting.ask(op="login", key=KEY)
        waiting.send(op="place", id="order", order=ORDER)
        eventually("the order is sent", lambda: len(feeds.calls.replies) == 1)
        assert feeds.stop() < 2
        assert waiting.read_to_the_end() == 1012
