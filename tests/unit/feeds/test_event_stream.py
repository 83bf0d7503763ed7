"""Event streams: their requests, their events, and resuming from a position."""

import asyncio
import json
import re
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest

from schemas.feed import Closing, Hello
from services.api.messages import ProblemError
from services.feeds.client import FeedClient, Subject
from services.feeds.event_stream import EventStream, events_of
from services.feeds.hub import FeedHub
from services.feeds.messages import frame_of
from services.feeds.order_entry import OrderEntry
from services.feeds.session import FeedSession
from services.feeds.stream_query import PARAMETERS, commands_of, subscriptions
from tests.support.feed_market import FeedMarket
from tests.support.feed_session import KEY, Keys, RecordedCalls
from tests.unit.feeds.test_connection import MemoryTransport


class StreamReader:
    """An event stream of a market in memory, as a client of HTTP reads it."""

    def __init__(self, market: FeedMarket, query: str, *headers: str, public: bool = True) -> None:
        self.market = market
        self.keys, self.transport, self.public = Keys(), MemoryTransport(), public
        self.stream = EventStream(
            market.hub,
            "127.0.0.1",
            self._session,
            lambda hosts, origins: "a foreign page" if origins else None,
            lambda: 0.0,
        )
        lines = [f"GET /stream?{query} HTTP/1.1", "host: localhost", *headers, "", ""]
        transport: Any = self.transport
        self.stream.begin(transport, "\r\n".join(lines).encode())

    def _session(self, client: FeedClient) -> FeedSession:
        hello = Hello(1, "log", "boot", 0, self.public, 1, 5)
        entry = OrderEntry(RecordedCalls(), "desk/boot/1")
        return FeedSession(self.market.hub, client, self.keys, hello, lambda: 0.0, entry)

    @property
    def head(self) -> str:
        return bytes(self.transport.written).partition(b"\r\n\r\n")[0].decode()

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def events(self) -> list[dict[str, Any]]:
        """The events as a browser has them: type, data, and the id if there is one."""
        body = bytes(self.transport.written).partition(b"\r\n\r\n")[2].decode()
        found = []
        for block in body.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            if "event" in fields:
                found.append({**fields, "data": json.loads(fields["data"])})
        return found

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [each["data"] for each in self.events() if each["event"] == kind]


def test_stream_has_the_messages_of_the_feed_as_events() -> None:
    market = FeedMarket()
    reader = StreamReader(market, "channels=trades,book,ladder,ticker,candles&symbols=S0,S1")
    client, output = market.client()
    for symbol in market.symbols:
        market.hub.subscribe(client, Subject("trades", symbol))
        market.hub.subscribe(client, Subject("book", symbol))
    for _ in range(20):
        market.trade(10)
        market.flush()
    assert reader.status == 200
    assert "content-type: text/event-stream" in reader.head
    for kind in ("trade", "book_snapshot", "book_update"):
        assert reader.of_type(kind) == output.of_type(kind) != []
    kinds = {each["event"] for each in reader.events()}
    assert kinds >= {"ladder", "ticker", "candle", "heartbeat"}
    assert all(each["event"] == each["data"]["type"] for each in reader.events())


def test_last_event_of_a_flush_has_the_position() -> None:
    market = FeedMarket()
    reader = StreamReader(market, "channels=trades&symbols=*")
    market.trade(50)
    market.flush()
    ids = [each.get("id") for each in reader.events()]
    assert ids[-1] == "50"
    assert set(ids[:-1]) == {None}


@pytest.mark.parametrize("seed", range(5))
def test_stream_that_resumes_from_an_event_lacks_no_trade_and_no_own_event(seed: int) -> None:
    market = FeedMarket(seed=seed)
    key = f"authorization: Bearer {KEY}"
    whole = StreamReader(market, "channels=trades,orders&symbols=*", key)
    for step in range(30):
        market.trade(1 + (seed * step) % 5)
        market.flush()
    last_ids = [each["id"] for each in whole.events() if "id" in each]
    for last_id in (last_ids[0], last_ids[len(last_ids) // 2], last_ids[-1]):
        at = next(n for n, each in enumerate(whole.events()) if each.get("id") == last_id)
        seen = whole.events()[: at + 1]
        resumed = StreamReader(
            market, "channels=trades,orders&symbols=*", key, f"last-event-id: {last_id}"
        )
        market.flush()
        assert resumed.of_type("gap") == resumed.of_type("orders_snapshot") == []
        for kind, name in (("trade", "trade_id"), ("order", "sequence")):
            had = [each["data"][name] for each in seen if each["event"] == kind]
            missed = [each[name] for each in whole.of_type(kind) if each[name] not in had]
            again = [each[name] for each in resumed.of_type(kind)]
            assert set(again) >= set(missed)
            assert len(again) == len(set(again))


def test_stream_that_resumes_after_a_restart_names_the_trades_that_are_not_in_memory() -> None:
    market = FeedMarket()
    market.trade(200)
    # The changes of the former process are gone; the views are those of a database.
    market.hub = FeedHub(lambda: market.views, lambda: True, market.own)
    newest = {symbol: market.views.trade_sequence(symbol) for symbol in market.symbols}
    assert all(newest.values())
    missing = {
        position: [
            (gap["symbol"], gap["first"], gap["last"])
            for gap in StreamReader(
                market, f"channels=trades&symbols=*&position={position}"
            ).of_type("gap")
        ]
        for position in (150, 200)
    }
    gaps = [(symbol, 1, last) for symbol, last in newest.items()]
    assert missing == {150: gaps, 200: []}


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", (), 422),
        ("channels=trades", (), 422),
        ("channels=nothing&symbols=S0", (), 422),
        ("channels=trades&symbols=S0&key=mx_alfa", (), 422),
        ("channels=trades&symbols=S0&symbols=S1", (), 422),
        ("channels=trades&symbols=s0", (), 422),
        ("channels=book&symbols=*", (), 422),
        ("channels=ladder&symbols=S0&depth=11", (), 422),
        ("channels=ladder&symbols=S0&depth=x", (), 422),
        ("channels=candles&symbols=S0&interval=2m", (), 422),
        ("channels=trades&symbols=" + quote(",".join(f"S{n}" for n in range(21))), (), 422),
        ("channels=trades&symbols=S0&depth=11", (), 422),
        ("channels=trades&symbols=S0&depth=", (), 422),
        ("channels=trades&symbols=S0&depth=10", (), 200),
        ("channels=ladder&symbols=S0&depth=%D9%A1%D9%A0", (), 422),
        ("channels=operations&symbols=s0", (), 422),
        ("channels=orders,operations&symbols=S0&interval=raw", (), 422),
        ("channels=trades&symbols=S0&position=1.2", (), 422),
        ("channels=trades&symbols=S0&position=", (), 200),
        ("channels=trades&symbols=S0&%zz=%ff", (), 422),
        ("channels=orders", (), 401),
        ("channels=orders", ("authorization: Bearer wrong",), 401),
        ("channels=orders", ("authorization: Bearer admin",), 403),
        ("channels=orders", (f"authorization: Bearer {KEY}",), 200),
        ("channels=trades&symbols=S0", ("origin: http://evil.example",), 403),
    ],
)
def test_request_of_a_stream_is_answered_with(
    query: str, headers: tuple[str, ...], status: int
) -> None:
    market = FeedMarket()
    reader = StreamReader(market, query, *headers)
    assert reader.status == status
    assert reader.transport.is_closing() is (status != 200)
    assert len(market.hub) == (status == 200)
    if status != 200:
        assert "content-type: application/problem+json" in reader.head


def test_parameters_of_a_stream_are_documented_as_they_are_read() -> None:
    patterns = {each.name: each.schema.get("pattern", "") for each in PARAMETERS}
    for query in ("channels=trades,ladder&symbols=S0,S1&depth=50&interval=1h&position=50",
                  "channels=trades,ticker&symbols=*", "channels=orders&position="):  # fmt: skip
        subscriptions(query)
        for name, value in parse_qsl(query, keep_blank_values=True):
            assert re.search(patterns[name], value), name
    assert not re.search(patterns["symbols"], ",".join(["S"] * 21))
    assert [each.name for each in PARAMETERS if each.required] == ["channels"]


@pytest.mark.parametrize(
    ("query", "status"), [("channels=trades&symbols=S0", 200), ("channels=trades", 422)]
)
def test_answer_of_a_stream_has_the_id_of_its_request(query: str, status: int) -> None:
    market = FeedMarket()
    given = StreamReader(market, query, "x-request-id: mine-1")
    assert (given.status, "x-request-id: mine-1" in given.head) == (status, True)
    made = [StreamReader(market, query, *unsafe) for unsafe in ((), ("x-request-id: a b",))]
    ids = [re.findall(r"x-request-id: (\w{16})\r?$", each.head, re.MULTILINE) for each in made]
    assert all(len(found) == 1 for found in ids)
    assert ids[0] != ids[1]


def test_stream_needs_a_key_unless_market_data_is_public() -> None:
    market = FeedMarket()
    assert StreamReader(market, "channels=trades&symbols=S0", public=False).status == 401
    key = f"authorization: Bearer {KEY}"
    assert StreamReader(market, "channels=trades&symbols=S0", key, public=False).status == 200


def test_revoked_key_ends_the_stream_with_the_reason() -> None:
    market = FeedMarket()
    reader = StreamReader(market, "channels=orders", f"authorization: Bearer {KEY}")
    reader.stream.check(1.0)
    assert not reader.transport.is_closing()
    reader.keys.valid = False
    reader.stream.check(2.0)
    assert reader.of_type("closing") == [{"type": "closing", "reason": "key_ended"}]
    assert reader.transport.is_closing()
    assert len(market.hub) == 0


def test_large_messages_are_events_too() -> None:
    hello = Hello(1, "x" * 70_000, "b" * 200, 0, True, 1, 5)
    assert events_of(frame_of(hello), "5") == b""
    market = FeedMarket()
    for size in (1, 200, 70_000):
        client, output = market.client()
        client.send(frame_of(hello) + events_frame("y" * size))
        client.write_out()
        events = events_of(events_frame("y" * size), "5")
        assert json.loads(events.split(b"\n")[1].removeprefix(b"data: ")) == output.received[-1]


def events_frame(text: str) -> bytes:
    return frame_of(Closing(text))


@pytest.mark.parametrize("text", ["", "1", "1.2.3", "1.x", "1.-2", "1.٣", "1." + "9" * 30])
def test_position_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ProblemError):
        commands_of(text, 2)


def test_subscriptions_of_a_query_have_its_parameters() -> None:
    found, position = subscriptions("channels=ladder,candles&symbols=A&depth=50&interval=1h")
    assert [(each.channel, each.depth, each.interval) for each in found] == [
        ("ladder", 50, None),
        ("candles", 10, "1h"),
    ]
    assert position == ""


def test_stream_that_is_not_read_is_ended_with_slow_consumer() -> None:
    market = FeedMarket()
    reader = StreamReader(market, "channels=trades&symbols=*")
    reader.stream.pause_writing()
    reader.stream.client.send(b"x" * (2 * 1024 * 1024))
    asyncio.run(market.hub.flush())
    assert reader.of_type("closing") == [{"type": "closing", "reason": "slow_consumer"}]
