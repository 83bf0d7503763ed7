"""A secured exchange serves live feeds, order sessions and the queries with its roles' rights."""

import json
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from conformance.api import eventually
from services.local.child_environment import environment
from tests.support.exchange import Exchange
from tests.support.feed_reader import RECEIVE_S, feed_of
from tests.support.operator import edge_service

CHANNELS: dict[str, dict[str, Any]] = {
    "trades": {},
    "book": {},
    "ladder": {"depth": 10},
    "ticker": {},
    "candles": {"interval": "1m"},
}
PUBLIC_TYPES = {"trade", "book_update", "ladder", "ticker", "candle"}


def test_session_and_feed_of_a_secured_exchange_have_every_channel(secured: Exchange) -> None:
    symbol, broker = secured.symbol(), secured.broker()
    order = {"document_number": "1", "symbol": symbol, "price": 100}
    with feed_of(secured) as feed:
        assert feed.ask("login", key=broker.key, cancel_on_disconnect=True)["status"] == 200
        for channel, more in CHANNELS.items():
            assert feed.ask("subscribe", channel=channel, symbols=[symbol], **more)["status"] == 200
        for channel in ("orders", "operations"):
            assert feed.ask("subscribe", channel=channel)["status"] == 200
        # A snapshot that came behind the orders would have their effect, and no update follow it.
        feed.until(lambda _: any(each["type"] == "book_snapshot" for each in feed.messages))
        resting = order | {"side": "ask", "quantity": 5, "client_order_id": "a"}
        taking = order | {"side": "bid", "quantity": 3, "client_order_id": "b"}
        assert feed.ask("place", order=resting)["status"] == 201
        assert feed.ask("batch", items=[{"place": taking}])["results"][0]["status"] == 201
        feed.until(lambda _: {each["type"] for each in feed.messages} >= PUBLIC_TYPES)
        own = [each for each in feed.messages if each["type"] == "order"]
        assert [each["cause"] for each in own] == ["placed", "placed", "traded"]
        assert any(each["type"] == "operations" for each in feed.messages)
    # The connection has ended, and with it the order that rests.
    path = f"/orders/{own[0]['order']['order_id']}"
    eventually("cancelled", lambda: broker.get(path).body["closed_reason"] == "cancelled")


def test_queries_of_a_secured_exchange_answer_from_its_tables(secured: Exchange) -> None:
    symbol, broker = secured.symbol(), secured.broker()
    for side, quantity in (("ask", 5), ("bid", 3)):
        assert broker.place(side, symbol, quantity, 100).status == 201
    # Each of these asks PostgreSQL: for more than there is in memory.
    lists = {
        f"/orders?symbol={symbol}": ("orders", 2),
        f"/fills?symbol={symbol}": ("fills", 2),
        f"/stocks/{symbol}/trades?after=0": ("trades", 1),
        f"/stocks/{symbol}/candles?interval=1m&from=2020-01-01T00:00:00Z": ("candles", 1),
    }
    for path, (name, number) in lists.items():
        answer = broker.get(path)
        assert (answer.status, len(answer.body.get(name, ()))) == (200, number), (path, answer)
    ticker = broker.get(f"/stocks/{symbol}/ticker").body
    assert (ticker["last"], ticker["volume"]) == (100, 3)
    assert broker.get("/tickers?symbols=*").status == broker.get("/operations").status == 200
    assert broker.call("POST", "/orders/cancel-all", {"symbol": symbol}).status in (200, 422)


def test_event_stream_of_a_secured_exchange_has_own_events(secured: Exchange) -> None:
    symbol, broker = secured.symbol(), secured.broker()
    host = urlsplit(secured.url)
    stream = HTTPConnection(host.hostname or "", host.port, timeout=RECEIVE_S)
    query = f"channels=trades,orders&symbols={symbol}"
    stream.request("GET", f"/stream?{query}", headers={"Authorization": f"Bearer {broker.key}"})
    with closing(stream), stream.getresponse() as answer:
        for side in ("ask", "bid"):
            assert broker.place(side, symbol, 1, 100).status == 201
        seen: set[str] = set()
        while not seen >= {"order", "trade"}:
            line = answer.readline()
            assert line, seen
            if line.startswith(b"data: "):
                seen.add(json.loads(line.removeprefix(b"data: "))["type"])


@pytest.mark.parametrize("role", ["gateway", "reader"])
def test_role_may_read_every_table_of_its_views(
    secured: Exchange, role: str, tmp_path: Path
) -> None:
    symbol, broker = secured.symbol(), secured.broker()
    assert broker.place("ask", symbol, 5, 100).status == 201
    with psycopg.connect(secured.database_url, autocommit=True) as connection:

        def is_stored() -> bool:
            query = "SELECT FROM orders WHERE symbol = %s"
            return connection.execute(query, [symbol]).rowcount == 1

        eventually("stored", is_stored)
    given = environment({}, secured.stack.settings_of(role), {})
    names = ("EXCHANGE_KAFKA_USER", "EXCHANGE_KAFKA_PASSWORD_FILE", "EXCHANGE_DATABASE_URL")
    rights = {name: given[name] for name in names}
    with edge_service(secured, f"services.{role}", tmp_path / "log", **rights) as api:
        # Without a right it would start from the log, and serve all the same.
        assert api.get("/readyz").body["checks"]["views"]["detail"] == "from PostgreSQL"
