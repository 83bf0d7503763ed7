"""The WebSocket feed of a running exchange, read by a real client.

What it sends equals the public topics record by record, and what REST answers.
"""

import json
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from benchmarks.processes import one_more
from conformance.api import Api, eventually
from schemas.codec import decode_trade
from schemas.executions import OrderAccepted
from schemas.topics import TRADES
from tests.support.exchange import Exchange
from tests.support.feed_market import ClientBook
from tests.support.operator import run_exchange_command

RECEIVE_S = 20.0
ORDERS = 60


def feed_url(exchange: Exchange) -> str:
    return exchange.url.replace("http://", "ws://") + "/ws"


class FeedReader:
    """A client that keeps every message of its connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.messages: list[dict[str, Any]] = []
        self._ids = 0

    def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.connection.recv(timeout=RECEIVE_S))
        self.messages.append(message)
        return message

    def ask(self, op: str, **fields: object) -> dict[str, Any]:
        """Send an operation and read up to its response."""
        self._ids += 1
        self.connection.send(json.dumps({"op": op, "id": self._ids, **fields}))
        return self.until(lambda each: each.get("id") == self._ids)

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read up to the first message that is wanted."""
        while not wanted(self.receive()):
            pass
        return self.messages[-1]


@contextmanager
def feed_of(exchange: Exchange, **more: Any) -> Iterator[FeedReader]:
    with connect(feed_url(exchange), **more) as connection:
        reader = FeedReader(connection)
        assert reader.receive()["type"] == "hello"
        yield reader


def trade_on(symbol: str, broker: Api, seed: int) -> None:
    """Orders that rest, trade and are cancelled; the last one rests, so that the book changes."""
    rng = random.Random(seed)
    open_ids = []
    for _ in range(ORDERS):
        side, price = rng.choice(("bid", "ask")), rng.randrange(95, 106)
        open_ids.append(broker.place(side, symbol, rng.randrange(1, 50), price).body["order_id"])
        if rng.random() < 0.3:
            broker.cancel(open_ids.pop(rng.randrange(len(open_ids))))
    broker.place("bid", symbol, 1, 1)


def test_feed_equals_the_topics_and_the_book_by_rest(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    trade_on(symbol, broker, seed=1)
    with feed_of(exchange) as feed:
        assert feed.ask("subscribe", channel="trades", symbols=[symbol], last=250)["status"] == 200
        assert feed.ask("subscribe", channel="book", symbols=[symbol])["status"] == 200
        trade_on(symbol, broker, seed=2)
        book = broker.get(f"/stocks/{symbol}/book?depth=50").body
        feed.until(lambda each: each.get("sequence") == book["sequence"] and "checksum" in each)
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


def order_of(symbol: str, side: str, price: int, client_order_id: str) -> dict[str, object]:
    return {
        "document_number": "1",
        "symbol": symbol,
        "side": side,
        "price": price,
        "quantity": 10,
        "client_order_id": client_order_id,
    }


def test_orders_of_a_session_are_in_the_log_in_the_order_sent(exchange: Exchange) -> None:
    symbol, key = exchange.symbol(), exchange.register("Session")
    with feed_of(exchange) as feed:
        assert feed.ask("login", key=key)["status"] == 200
        for number in range(40):
            order = order_of(symbol, "bid", 100 + number, f"s-{number}")
            message = {"op": "place", "id": number, "order": order}
            feed.connection.send(json.dumps(message))
        # Not answered yet, and its order may not be known yet: the log decides.
        cancel = {"op": "cancel", "id": "c", "symbol": symbol, "client_order_id": "s-39"}
        feed.connection.send(json.dumps(cancel))
        feed.until(lambda each: each.get("id") == "c")
        answers = {each["id"]: each for each in feed.messages if each["type"] == "response"}
        again = feed.ask("place", order=order_of(symbol, "bid", 100, "s-0"))
    assert answers["c"]["status"] == 204
    placed = [answers[number]["order"] for number in range(40)]
    assert {answers[number]["status"] for number in range(40)} == {201}
    assert [order["client_order_id"] for order in placed] == [f"s-{n}" for n in range(40)]
    assert (again["status"], again["order"]["order_id"]) == (200, placed[0]["order_id"])
    broker = Api(exchange.url, key)
    assert broker.order(placed[39]["order_id"])["closed_reason"] == "cancelled"
    assert broker.get(f"/stocks/{symbol}/book").body["bids"][0]["price"] == 138
    log = [outcome.event for p in range(exchange.partitions) for outcome in exchange.outcomes(p)]
    accepted = [each for each in log if isinstance(each, OrderAccepted) and each.symbol == symbol]
    ids = [each.order_id for each in accepted]
    assert ids[:40] == [order["order_id"] for order in placed]


def test_refused_order_has_the_problem_of_http(exchange: Exchange) -> None:
    symbol, key = exchange.symbol(), exchange.register("Session")
    broker = Api(exchange.url, key)
    with feed_of(exchange) as feed:
        feed.ask("login", key=key)
        wrong = order_of(symbol, "bid", 0, "s-0")
        answer = feed.ask("place", order=wrong)
        by_http = broker.call("POST", "/orders", wrong)
        unknown = feed.ask("cancel", order_id="01980000-0000-7000-8000-000000000000")
        foreign = exchange.broker().place("bid", symbol, 1, 1).body["order_id"]
        not_own = feed.ask("cancel", order_id=foreign)
    assert answer["status"] == by_http.status == 422
    for name in ("code", "detail", "errors"):
        assert answer["problem"][name] == by_http.body[name]
    assert {each["problem"]["code"] for each in (unknown, not_own)} == {"order_not_found"}


def test_own_event_comes_before_the_response_and_is_numbered(exchange: Exchange) -> None:
    symbol, key = exchange.symbol(), exchange.register("Own")
    broker, other = Api(exchange.url, key), exchange.broker()
    with feed_of(exchange) as feed:
        feed.ask("login", key=key)
        answer = feed.ask("subscribe", channel="orders", after={})
        assert (answer["status"], answer["resumed"]) == (200, True)
        placed = feed.ask("place", order=order_of(symbol, "ask", 100, "o-1"))["order"]
        assert feed.messages[-2]["order"]["order_id"] == placed["order_id"]
        feed.ask("place", order=order_of(symbol, "ask", 100, "o-1"))
        assert feed.messages[-2]["type"] == "order_repeated"
        feed.ask("place", order=order_of(symbol, "ask", 101, "o-1"))
        assert feed.messages[-2]["code"] == "client_order_id_reused"
        other.place("bid", symbol, 4, 100)
        # By HTTP to the same gateway: written before the answer.
        assert broker.cancel(placed["order_id"]).status == 204
        assert feed.ask("cancel", order_id=placed["order_id"])["status"] == 204
        feed.ask("ping")
        events = [each for each in feed.messages if each["type"].startswith("order")]
    assert [each["sequence"] for each in events] == [1, 2, 3, 4, 5]
    causes = ["placed", None, None, "traded", "cancelled"]
    assert [each.get("cause") for each in events] == causes
    traded = events[3]
    assert [each["quantity"] for each in traded["trades"]] == [4]
    assert (traded["order"]["remaining_quantity"], traded["order"]["status"]) == (6, "open")
    last = broker.get(f"/orders?symbol={symbol}").body["orders"][0]
    assert events[4]["order"] == last


def own_events(url: str, key: str, after: dict[str, int]) -> list[Any]:
    """The own events beyond `after`, which the gateway has to resume."""
    found = []
    with connect(url) as connection:
        feed = FeedReader(connection)
        feed.ask("login", key=key)
        answer = feed.ask("subscribe", channel="orders", after=after)
        assert (answer["status"], answer["resumed"]) == (200, True)
        feed.until(lambda each: each["type"] == "heartbeat")
        found += [each for each in feed.messages if each["type"].startswith("order")]
    return found


def test_own_events_are_resumed_on_a_killed_gateway_and_on_another_one(exchange: Exchange) -> None:
    symbol, key = exchange.symbol(), exchange.register("Own")
    trade_on(symbol, Api(exchange.url, key), seed=9)
    whole = own_events(feed_url(exchange), key, {})
    assert len(whole) > ORDERS
    partition, half = str(whole[0]["partition"]), len(whole) // 2
    assert [each["sequence"] for each in whole] == list(range(1, len(whole) + 1))

    def stored() -> bool:
        with psycopg.connect(exchange.stack.operator.database_url or "") as connection:
            rows = connection.execute("SELECT next_command FROM log_positions ORDER BY partition")
            return [row[0] for row in rows] >= exchange.log_ends()

    # Then the gateway starts behind all these events.
    eventually("everything is stored", stored)
    exchange.stack.services["gateway"].kill()
    exchange.stack.start("gateway")
    exchange.stack.wait_ready("gateway")
    after = {partition: half}
    assert own_events(feed_url(exchange), key, after) == whole[half:]
    with one_more(exchange.stack, "gateway", "gateway-2") as second:
        other = Api(second.url, key)
        eventually("the other gateway knows the key", lambda: other.get("/balance").status == 200)
        trade_on(symbol, other, seed=10)
        both = [
            own_events(url.replace("http://", "ws://") + "/ws", key, after)
            for url in (exchange.url, second.url)
        ]
    assert both[0] == both[1]
    assert both[0][: len(whole) - half] == whole[half:]
    assert len(both[0]) > len(whole) - half


@pytest.mark.parametrize("ending", ["close", "reset", "logout"])
def test_cancel_on_disconnect_concerns_the_orders_of_the_session(
    exchange: Exchange, ending: str
) -> None:
    symbol, key = exchange.symbol(), exchange.register("Session")
    broker = Api(exchange.url, key)
    other = broker.place("bid", symbol, 10, 50).body["order_id"]
    with feed_of(exchange) as feed:
        feed.ask("login", key=key, cancel_on_disconnect=True)
        first = feed.ask("place", order=order_of(symbol, "bid", 60, "s-1"))["order"]["order_id"]
        if ending == "logout":
            feed.ask("logout")
        else:
            # Its outcome is under way when the connection ends.
            message = {"op": "place", "id": 99, "order": order_of(symbol, "bid", 61, "s-2")}
            feed.connection.send(json.dumps(message))
        if ending == "reset":
            feed.connection.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            feed.connection.socket.close()

    def resting() -> list[int]:
        return [level["price"] for level in broker.get(f"/stocks/{symbol}/book").body["bids"]]

    expected = [60, 50] if ending == "logout" else [50]
    eventually("the book", lambda: resting() == expected)
    state = broker.order(first)["closed_reason"]
    assert state == (None if ending == "logout" else "cancelled")
    assert broker.order(other)["status"] == "open"
