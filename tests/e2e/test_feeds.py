"""The WebSocket feed of a running exchange, read by a real client.

What it sends equals the public topics record by record, and what REST answers.
"""

import json
import socket
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from conformance.api import Api, eventually
from schemas.book import BookUpdate, Level
from schemas.codec import decode_book_update, decode_trade
from schemas.topics import BOOK, TRADES
from tests.support.exchange import Exchange
from tests.support.feed_market import ClientBook
from tests.support.feed_reader import RECEIVE_S, feed_of, feed_url, trade_on
from tests.support.operator import run_exchange_command


@pytest.mark.parametrize("interval", ["100ms", "raw"])
def test_feed_equals_the_topics_and_the_book_by_rest(exchange: Exchange, interval: str) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    trade_on(symbol, broker, seed=1)
    with feed_of(exchange) as feed:
        assert feed.ask("login", key=broker.key)["status"] == 200
        wanted: dict[str, Any] = {"symbols": [symbol], "interval": interval}
        assert feed.ask("subscribe", channel="trades", last=250, **wanted)["status"] == 200
        assert feed.ask("subscribe", channel="book", **wanted)["status"] == 200
        trade_on(symbol, broker, seed=2)
        book = broker.get(f"/stocks/{symbol}/book?depth=50").body
        last = feed.until(
            lambda each: each.get("sequence") == book["sequence"] and "checksum" in each
        )
        assert last["checksum"] == book["checksum"]
    mine = ClientBook()
    for message in feed.messages:
        if message["type"] in ("book_snapshot", "book_update"):
            mine.apply(message)
    for side, name in (("bid", "bids"), ("ask", "asks")):
        shown = [tuple(level.values()) for level in book[name]]
        levels = mine.levels("bid" if side == "bid" else "ask")
        assert [(each.price, each.total_quantity, each.order_count) for each in levels] == shown

    def published() -> list[dict[str, Any]]:
        trades = [decode_trade(value) for value in exchange.records(TRADES)]
        return [
            {"type": "trade"} | {name: getattr(each, name) for name in each.__struct_fields__}
            for each in trades
            if each.symbol == symbol
        ]

    sent = [message for message in feed.messages if message["type"] == "trade"]
    assert len(sent) > 20
    eventually("the public trades", lambda: len(published()) >= len(sent))
    assert sent == published()
    if interval == "raw":
        updates = [each for each in feed.messages if each["type"] == "book_update"]
        assert len(updates) > 20
        require_equal_updates(exchange, symbol, updates)


def require_equal_updates(exchange: Exchange, symbol: str, updates: list[dict[str, Any]]) -> None:
    """Each update of the raw pace is a record of the public topic."""

    def published() -> dict[int, BookUpdate]:
        records = [decode_book_update(value) for value in exchange.records(BOOK)]
        return {each.sequence: each for each in records if each.symbol == symbol}

    newest = updates[-1]["sequence"]
    eventually("the public book", lambda: newest in published())
    records = published()
    for update in updates:
        assert update["previous"] == update["sequence"] - 1
        record = records[update["sequence"]]
        if not record.whole:
            for side, levels in (("bids", record.bids), ("asks", record.asks)):
                assert [Level(*each) for each in update.get(side, [])] == list(levels)


def test_tickers_and_candles_equal_those_by_rest(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    with feed_of(exchange) as feed:
        feed.ask("subscribe", channel="ticker", symbols="*")
        feed.ask("subscribe", channel="ticker", symbols=[symbol])
        feed.ask("subscribe", channel="candles", symbols=[symbol], interval="1d")
        trade_on(symbol, broker, seed=8)
        ticker = broker.get(f"/stocks/{symbol}/ticker").body
        candle = broker.get(f"/stocks/{symbol}/candles?interval=1d&limit=1").body["candles"][0]

        def shown() -> dict[str, dict[str, Any]]:
            found = {}
            for message in feed.messages:
                for each in message.get("tickers", [message]):
                    if each.get("symbol") == symbol:
                        found[f"{message['type']}"] = each
            return found

        names = ticker.keys() - {"window_start", "as_of"}
        feed.until(
            lambda _: (
                all(
                    shown().get(kind, {}).get(name) == ticker[name]
                    for kind in ("ticker", "tickers")
                    for name in names
                )
                and shown()["candle"]["last_sequence"] == candle["last_sequence"]
            )
        )
        assert {name: shown()["candle"][name] for name in candle if name != "start"} == {
            name: value for name, value in candle.items() if name != "start"
        }


def test_client_that_comes_back_gets_the_trades_that_it_missed(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    trade_on(symbol, broker, seed=3)
    with feed_of(exchange) as feed:
        feed.ask("subscribe", channel="trades", symbols=[symbol], last=250)
        feed.until(lambda each: each["type"] == "heartbeat")
        last = [each["sequence"] for each in feed.messages if each["type"] == "trade"][-1]
    trade_on(symbol, broker, seed=4)
    newest = broker.get(f"/stocks/{symbol}/price").body["sequence"]
    with feed_of(exchange) as feed:
        feed.ask("subscribe", channel="trades", symbols=[symbol], after={symbol: last})
        feed.until(lambda each: each.get("sequence") == newest)
        sent = [each["sequence"] for each in feed.messages if each["type"] == "trade"]
    assert sent == list(range(last + 1, newest + 1))


def test_revoked_key_ends_the_connection(exchange: Exchange) -> None:
    key = exchange.register("Zulu")
    with feed_of(exchange) as feed:
        answer = feed.ask("login", key=key)
        assert (answer["status"], answer["broker_name"]) == (200, "Zulu")
        assert (
            run_exchange_command(exchange, "broker", "revoke", answer["broker_id"]).returncode == 0
        )
        with pytest.raises(ConnectionClosed) as closed:
            feed.until(lambda each: each["type"] == "never")
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4403, "key_ended")


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("", {"Origin": "http://evil.example"}),
        ("ws://evil.example/ws", {}),
        ("", {"Host": "evil.example"}),
    ],
    ids=["foreign origin", "foreign host", "two hosts"],
)
def test_foreign_page_cannot_connect(exchange: Exchange, url: str, headers: dict[str, str]) -> None:
    address = urlsplit(exchange.url)
    plain = socket.create_connection((str(address.hostname), address.port or 0))
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(url or feed_url(exchange), additional_headers=headers, sock=plain),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_event_stream_has_trades_and_own_events_until_the_gateway_stops(
    exchange: Exchange,
) -> None:
    symbol, key = exchange.symbol(), exchange.register("Stream")
    address = urlsplit(exchange.url)
    connection = HTTPConnection(str(address.hostname), address.port or 0, timeout=RECEIVE_S)
    target = f"/stream?channels=trades,orders&symbols={symbol}"
    connection.request("GET", target, headers={"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    trade_on(symbol, Api(exchange.url, key), seed=13)
    newest = exchange.broker().get(f"/stocks/{symbol}/price").body["sequence"]
    lines: list[str] = []
    while f'"sequence":{newest},"trade_id"' not in (lines or [""])[-1]:
        lines.append(answer.readline().decode().rstrip())
    data = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    trades = [each["sequence"] for each in data if each["type"] == "trade"]
    assert trades == list(range(1, newest + 1))
    assert [each["sequence"] for each in data if each["type"] == "order"][:9] == list(range(1, 10))
    try:
        # Within its time: a stream does not keep the process waiting.
        exchange.stack.stop("gateway")
        rest = answer.read().decode()
    finally:
        exchange.stack.start("gateway")
        exchange.stack.wait_ready("gateway")
    assert 'event: closing\ndata: {"type":"closing","reason":"restart"}' in rest


def test_upgrade_to_anything_else_is_answered_as_http(exchange: Exchange) -> None:
    answer = exchange.broker().call("GET", "/ws")
    assert answer.status == 404


def test_stop_of_the_gateway_closes_with_a_reason(exchange: Exchange) -> None:
    with feed_of(exchange) as feed:
        feed.ask("subscribe", channel="trades", symbols="*")
        try:
            exchange.stack.stop("gateway")
            with pytest.raises(ConnectionClosed) as closed:
                feed.until(lambda each: each["type"] == "never")
        finally:
            exchange.stack.start("gateway")
            exchange.stack.wait_ready("gateway")
    assert feed.messages[-1] == {"type": "closing", "reason": "restart"}
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
