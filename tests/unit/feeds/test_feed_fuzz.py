"""Bad bytes of clients: they are answered, or the connection is closed; nothing is left behind."""

import gc
import json
import random
import tracemalloc
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from schemas.feed_asyncapi import CLIENT_MESSAGES, tag_of
from services.feeds import connection as connections
from services.feeds import session as sessions
from services.feeds.client import Subject
from services.feeds.connection import FeedConnection
from services.feeds.hub import FeedHub
from tests.support.feed_market import FeedMarket
from tests.support.feed_session import KEY, ConnectedClient
from tests.unit.feeds.test_connection import ConnectedSocket, MemoryTransport, RecordingSession
from tests.unit.feeds.test_event_stream import StreamReader

VALUES: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    2**70,
    1.5,
    "",
    "*",
    "S0",
    "x" * 300,
    "\u0000",
    [],
    ["S0", "S0"],
    ["*"],
    [1],
    {},
    {"S0": 1},
    {"0": 0},
    {"x": {"y": []}},
    "trades",
    "orders",
    "candles",
    "1m",
    KEY,
)
FIELDS = (
    *("channel", "symbols", "after", "last", "depth", "interval", "key", "cancel_on_disconnect"),
    *("heartbeat_s", "order", "items", "values", "order_id", "symbol", "client_order_id"),
    *("side", "wait_s", "respond", "unknown"),
)


@pytest.mark.parametrize("seed", range(20))
def test_every_operation_with_any_fields_has_one_response_below_500(seed: int) -> None:
    rng = random.Random(seed)
    connected = ConnectedClient()
    if seed % 2:
        connected.ask(op="login", key=KEY)
    connected.market.trade(20)
    for number in range(60):
        # So that only what is sent decides, not the rate.
        connected.now_s += 60.0
        message = rng.choice(CLIENT_MESSAGES)
        own = [name for name in message.__struct_fields__ if name != "id"]
        names = rng.sample(FIELDS, 4) if rng.random() < 0.2 else rng.sample(own, len(own))
        fields = {name: rng.choice(VALUES) for name in names[: rng.randrange(5)]}
        op = tag_of(message)
        before = len(connected.output.of_type("response"))
        connected.session.receive(json.dumps({**fields, "op": op, "id": number}).encode())
        answers = connected.output.of_type("response")[before:]
        assert [each["id"] for each in answers] in ([number], [])
        assert all(each["status"] < 500 for each in answers)
        if not answers:
            # Its outcome is still to come, or the connection has ended.
            later = ("place", "cancel", "cancel_all", "replace", "batch")
            assert op in later or connected.output.cuts
        if connected.output.cuts:
            assert connected.output.cuts[0][0] == sessions.KEY_REFUSED
            break
        connected.market.trade(1)
        connected.market.flush_later()
    connected.market.hub.remove(connected.client)
    require_nothing_left(connected.market.hub)


def require_nothing_left(hub: FeedHub) -> None:
    """No client, no subscription, and no change that is collected for one."""
    assert len(hub) == 0
    assert not hub._subscriptions._clients
    assert not hub._due
    assert not hub.changes.books
    assert not hub.changes.raw
    assert not hub.changes.raw_trades_of
    assert hub.own.behind() == []
    assert hub.changes.candles._running == {}
    assert hub.changes.tickers._watched == set()


@pytest.mark.parametrize("seed", range(30))
def test_damaged_frames_end_their_connection_at_most(seed: int) -> None:
    rng = random.Random(seed)
    socket = ConnectedSocket()
    for _ in range(40):
        frame = Frame(rng.choice(list(Opcode)), rng.randbytes(rng.randrange(126)))
        data = bytearray(frame.serialize(mask=True))
        if rng.random() < 0.5:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        socket.connection.data_received(bytes(data))
        if socket.transport.closed:
            break
    socket.connection.connection_lost(None)
    require_nothing_left(socket.market.hub)


@pytest.mark.parametrize("seed", range(30))
def test_damaged_handshake_is_a_client_error(seed: int) -> None:
    rng = random.Random(seed)
    market, transport = FeedMarket(), MemoryTransport()
    socket = ConnectedSocket()
    head = bytearray(b"".join(socket.client.data_to_send()) or HANDSHAKE)
    for _ in range(rng.randrange(1, 6)):
        head[rng.randrange(len(head))] = rng.randrange(256)
    session: Any = RecordingSession()
    connection = FeedConnection(
        market.hub, "127.0.0.1", lambda _: session, lambda hosts, origins: None, lambda: 0.0
    )
    wire: Any = transport
    connection.begin(wire, bytes(head))
    status = bytes(transport.written)[9:10]
    assert status in (b"", b"1", b"4")
    connection.connection_lost(None)
    require_nothing_left(market.hub)


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize("seed", range(20))
def test_any_query_of_an_event_stream_is_answered_below_500(seed: int) -> None:
    rng = random.Random(seed)
    market = FeedMarket()
    market.trade(20)
    words = ["channels", "symbols", "position", "depth", "=", "&", ",", "*", "S0", "%", "trades"]
    words += ["orders", "book", "1.2", "0", "\xff", "+", "#", ";", "candles", "interval", "1m"]
    for _ in range(20):
        query = "".join(rng.choices(words, k=rng.randrange(12)))
        headers = ["last-event-id: " + "".join(rng.choices(words, k=2))] * rng.randrange(2)
        reader = StreamReader(market, query, *headers)
        assert reader.status < 500
        market.flush()
        reader.stream.connection_lost(None)
    require_nothing_left(market.hub)


def test_message_beyond_64_kib_ends_the_connection_and_is_not_kept() -> None:
    socket = ConnectedSocket()
    socket.connection.data_received(
        Frame(Opcode.TEXT, b"x" * (connections.MESSAGE_BYTES_MAX + 1)).serialize(mask=True)
    )
    assert socket.session.received == []
    assert b"\x03\xf1" in socket.transport.written


def test_fragments_beyond_64_kib_end_the_connection() -> None:
    socket = ConnectedSocket()
    part = b"x" * (connections.MESSAGE_BYTES_MAX // 2 + 1)
    for number in range(2):
        opcode = Opcode.CONT if number else Opcode.TEXT
        frame = Frame(opcode, part, fin=False)
        socket.connection.data_received(frame.serialize(mask=True))
    assert b"\x03\xf1" in socket.transport.written
    assert socket.session.received == []


def test_subscriptions_that_come_and_go_leave_nothing() -> None:
    market = FeedMarket()
    for number in range(50):
        client, _ = market.client()
        symbol = f"X{number}"
        for subject in (
            Subject("trades", symbol),
            Subject("book", symbol),
            Subject("ladder", symbol, 50),
            Subject("ticker", symbol),
            Subject("candles", symbol, interval="1m"),
        ):
            market.hub.subscribe(client, subject)
        market.flush_later()
        market.hub.remove(client)
    require_nothing_left(market.hub)
    assert market.hub.changes.tickers.all_known() == []


def damaged_client(market: FeedMarket, rng: random.Random) -> None:
    """A connection with a damaged handshake or damaged frames, and one with any query."""
    head = bytearray(HANDSHAKE)
    if rng.random() < 0.3:
        head[rng.randrange(len(head))] = rng.randrange(256)
    reader = StreamReader(market, rng.choice(("channels=trades&symbols=*", "channels=x", "=&")))
    wire: Any = MemoryTransport()
    connection = FeedConnection(
        market.hub, "127.0.0.1", reader._session, lambda hosts, origins: None, lambda: 0.0
    )
    connection.begin(wire, bytes(head))
    for _ in range(4):
        text = json.dumps(
            {"op": "subscribe", "id": 1, "channel": rng.choice(("trades", "book", "ticker"))}
            | {"symbols": [f"X{rng.randrange(10**6)}"], "unknown": rng.random() < 0.2}
        )
        data = bytearray(Frame(Opcode.TEXT, text.encode()).serialize(mask=True))
        if rng.random() < 0.3:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        connection.data_received(bytes(data))
    assert wire.written[9:10] in (b"1", b"4", b"")
    market.flush()
    connection.connection_lost(None)
    reader.stream.connection_lost(None)


def test_damaged_clients_use_no_memory() -> None:
    rng, market, clients = random.Random(1), FeedMarket(), 60
    # The interpreter's own tables grow in large steps.
    ours = [tracemalloc.Filter(True, f"*/{folder}/*") for folder in ("services", "websockets")]
    tracemalloc.start()
    try:
        kept = []
        for _ in range(2):
            for _ in range(clients):
                damaged_client(market, rng)
            gc.collect()
            kept.append(tracemalloc.take_snapshot().filter_traces(ours))
    finally:
        tracemalloc.stop()
    grown = sum(each.size_diff for each in kept[1].compare_to(kept[0], "filename"))
    assert grown < 500 * clients
    require_nothing_left(market.hub)
