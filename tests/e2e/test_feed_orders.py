"""Own events and orders over the WebSocket of a running exchange."""

import json
import socket
import struct
from typing import Any

import psycopg
import pytest
from websockets.sync.client import connect

from benchmarks.processes import one_more
from conformance.api import Api, eventually
from schemas.executions import OrderAccepted
from tests.support.exchange import Exchange
from tests.support.feed_reader import ORDERS, FeedReader, feed_of, feed_url, trade_on
from tests.support.operator import run_exchange_command


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


def test_session_changes_every_order_of_the_broker_by_its_name(exchange: Exchange) -> None:
    symbol, key = exchange.symbol(), exchange.register("Named")
    broker = Api(exchange.url, key)
    placed = {
        name: broker.call("POST", "/orders", order_of(symbol, "bid", 100, name)).body["order_id"]
        for name in ("filled", "by-http")
    }
    exchange.broker().place("ask", symbol, 10, 100)
    with feed_of(exchange) as other, feed_of(exchange) as feed:
        other.ask("login", key=key)
        by_other = order_of(symbol, "bid", 50, "by-other")
        placed["by-other"] = other.place(by_other)["order_id"]
        feed.ask("login", key=key)

        def named(op: str, name: str, **fields: object) -> dict[str, Any]:
            return feed.ask(op, symbol=symbol, client_order_id=name, **fields)

        replaced = named("replace", "by-other", values={"quantity": 4})
        assert (replaced["status"], replaced["order"]["order_id"]) == (200, placed["by-other"])
        for name in ("by-other", "filled"):
            answer = named("cancel", name)
            by_http = broker.call("POST", f"/orders/{placed[name]}/cancel")
            assert answer["status"] == by_http.status
        assert by_http.body["code"] == answer["problem"]["code"] == "too_late_to_cancel"
        # Sent again behind the same order, as after a lost connection.
        again = {"symbol": symbol, "client_order_id": "by-http"}
        items = [{"place": order_of(symbol, "bid", 100, "by-http")}, {"cancel": again}]
        results = feed.ask("batch", items=items)["results"]
        assert [each["status"] for each in results] == [200, 204]
        unknown, foreign = named("cancel", "never"), named("replace", "never", values={"price": 1})
    for order in ("by-other", "by-http"):
        assert broker.order(placed[order])["closed_reason"] == "cancelled"
    for each in (unknown, foreign):
        assert (each["status"], each["problem"]["code"]) == (404, "order_not_found")


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


def trades_behind(exchange: Exchange, symbol: str, last: int) -> list[dict[str, Any]]:
    """The trades and gaps that a client gets which comes back with its last trade."""
    with feed_of(exchange) as feed:
        feed.ask("subscribe", channel="trades", symbols=[symbol], after={symbol: last})
        feed.until(lambda each: each["type"] == "heartbeat")
    return [each for each in feed.messages if each["type"] in ("trade", "gap")]


def test_own_events_are_resumed_on_a_killed_gateway_and_on_another_one(exchange: Exchange) -> None:
    symbol, key = exchange.symbol(), exchange.register("Own")
    trade_on(symbol, Api(exchange.url, key), seed=9)
    whole = own_events(feed_url(exchange), key, {})
    assert len(whole) > ORDERS
    partition, half = str(whole[0]["partition"]), len(whole) // 2
    trades = trades_behind(exchange, symbol, 0)
    assert len(trades) > ORDERS // 4
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
    # Of PostgreSQL, with all the fields that they had before.
    assert trades_behind(exchange, symbol, 2) == trades[2:]
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
        first = feed.place(order_of(symbol, "bid", 60, "s-1"))["order_id"]
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


def test_killed_gateway_cancels_what_its_sessions_left_once_it_is_back(exchange: Exchange) -> None:
    symbol, key = exchange.symbol(), exchange.register("Left")
    broker = Api(exchange.url, key)

    def bids(gateway: Api = broker) -> list[int]:
        return [level["price"] for level in gateway.get(f"/stocks/{symbol}/book").body["bids"]]

    with one_more(exchange.stack, "gateway", "gateway-2") as second:
        other = Api(second.url, key)
        eventually("the other gateway knows the key", lambda: other.get("/balance").status == 200)
        with connect(second.url.replace("http://", "ws://") + "/ws") as connection:
            alive = FeedReader(connection)
            alive.ask("login", key=key, cancel_on_disconnect=True)
            alive.place(order_of(symbol, "bid", 80, "alive"))
            broker.place("bid", symbol, 10, 50)
            with feed_of(exchange) as plain, feed_of(exchange) as feed:
                plain.ask("login", key=key)
                plain.place(order_of(symbol, "bid", 60, "plain"))
                feed.ask("login", key=key, cancel_on_disconnect=True)
                iceberg = order_of(symbol, "bid", 71, "l-2") | {"display_quantity": 5}
                left = [
                    feed.place(order) for order in (order_of(symbol, "bid", 70, "l-1"), iceberg)
                ]
                moved = feed.ask("replace", order_id=left[0]["order_id"], values={"price": 72})
                assert moved["status"] == 200
                assert bids() == [80, 72, 71, 60, 50]
                exchange.stack.services["gateway"].kill()
            # The other gateway does not touch what is not its own.
            eventually("its book", lambda: bids(other) == [80, 72, 71, 60, 50])
            exchange.stack.start("gateway")
            exchange.stack.wait_ready("gateway")
            eventually("the book", lambda: bids() == [80, 60, 50])
            for each in left:
                assert broker.order(each["order_id"])["closed_reason"] == "cancelled"
        eventually("the book", lambda: bids() == [60, 50])


def test_operator_cancels_what_a_gateway_left_that_does_not_come_back(exchange: Exchange) -> None:
    symbol, key = exchange.symbol(), exchange.register("Left")
    broker = Api(exchange.url, key)
    with one_more(exchange.stack, "gateway", "gateway-2") as second:
        other = Api(second.url, key)
        eventually("the other gateway knows the key", lambda: other.get("/balance").status == 200)
        with connect(second.url.replace("http://", "ws://") + "/ws") as connection:
            feed = FeedReader(connection)
            session = feed.ask("login", key=key, cancel_on_disconnect=True)["session"]
            left = feed.place(order_of(symbol, "bid", 70, "l-1"))
            stays = broker.place("bid", symbol, 10, 60).body["order_id"]
            second.process.kill()
    gateway = session.split("/")[0]
    cancelled = []
    for name in ("unknown", gateway, gateway):
        done = run_exchange_command(
            exchange, "sessions", "cancel", name, "--url", exchange.url, "--json"
        )
        assert (done.returncode, done.stderr) == (0, "")
        cancelled.append(json.loads(done.stdout))
    assert [each["cancelled"] for each in cancelled] == [0, 1, 0]
    assert cancelled[1]["gateway"] == gateway
    assert broker.order(left["order_id"])["closed_reason"] == "cancelled"
    assert broker.order(stays)["status"] == "open"
