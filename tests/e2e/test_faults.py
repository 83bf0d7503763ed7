"""Kills of single processes under running clients: no acknowledged order is lost or doubled."""

import contextlib
import time
from collections import Counter

import psycopg
import pytest

from conformance.api import Answer, Api, eventually
from schemas import ids
from schemas.codec import decode_trade
from schemas.executions import CommandRefused
from schemas.partitions import default_partition
from schemas.topics import COMMANDS, TRADES
from services.runtime.clock import now_ms
from tests.support.clients import LoggingClients
from tests.support.exchange import Exchange

# So long a call waits for an outcome that does not come.
BRIEFLY = {"Prefer": "wait=1"}


def trade_ids_of(exchange: Exchange, symbol: str) -> list[str]:
    """Ids of a symbol's public trades in topic order. Fails if their sequence has gaps."""
    trades = [decode_trade(value) for value in exchange.records(TRADES)]
    ours = [trade for trade in trades if trade.symbol == symbol]
    assert [trade.sequence for trade in ours] == list(range(1, len(ours) + 1))
    return [trade.trade_id for trade in ours]


def kill_and_restart(exchange: Exchange, service: str) -> None:
    exchange.stack.services[service].kill()
    exchange.stack.start(service)
    exchange.stack.wait_ready(service)


def trade_some(exchange: Exchange, broker: Api, symbol: str) -> list[str]:
    """Place orders that rest, fill and fill in part; return their ids."""
    sides = [("ask", 100, 10), ("ask", 101, 10), ("bid", 101, 15), ("bid", 90, 5), ("ask", 100, 3)]
    answers = [broker.place(side, symbol, quantity, price) for side, price, quantity in sides]
    assert [answer.status for answer in answers] == [201] * len(answers)
    return [str(answer.body["order_id"]) for answer in answers]


def test_matcher_killed_after_201_restores_the_same_order_book(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    order_ids = trade_some(exchange, broker, symbol)
    orders = [broker.order(order_id) for order_id in order_ids]
    book = broker.get(f"/stocks/{symbol}/book").body
    public = {trade["trade_id"] for order in orders for trade in order["trades"]}

    kill_and_restart(exchange, "matcher")

    assert [broker.order(order_id) for order_id in order_ids] == orders
    after = broker.get(f"/stocks/{symbol}/book").body
    assert (after["bids"], after["asks"]) == (book["bids"], book["asks"])
    # The restarted engine really contains the remaining order: it can be filled.
    assert broker.place("bid", symbol, 2, 101).body["closed_reason"] == "filled"
    eventually("trade published", lambda: len(trade_ids_of(exchange, symbol)) == len(public) + 1)
    published = trade_ids_of(exchange, symbol)
    assert len(set(published)) == len(published)
    assert set(published[:-1]) == public


def test_matcher_killed_right_after_each_trade_publishes_each_trade_once(
    exchange: Exchange,
) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    expected: set[str] = set()
    for _ in range(4):
        broker.place("ask", symbol, 5, 100)
        taken = broker.place("bid", symbol, 5, 100)
        expected |= {trade["trade_id"] for trade in taken.body["trades"]}
        kill_and_restart(exchange, "matcher")
    assert len(expected) == 4
    eventually("all published", lambda: set(trade_ids_of(exchange, symbol)) == expected)


def test_sink_killed_writes_every_row_once(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    before = trade_some(exchange, broker, symbol)
    exchange.stack.services["sink"].kill()
    during = trade_some(exchange, broker, symbol)
    exchange.stack.start("sink")

    def stored() -> Counter[str]:
        with psycopg.connect(exchange.database_url) as connection:
            rows = connection.execute("SELECT id::text FROM orders WHERE symbol = %s", [symbol])
            return Counter(str(row[0]) for row in rows)

    eventually("rows", lambda: stored() == Counter(before + during))
    exchange.stack.wait_ready("sink")


def test_gateway_killed_and_restarted_has_the_same_views(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    order_ids = trade_some(exchange, broker, symbol)
    before = [broker.order(order_id) for order_id in order_ids], broker.get("/balance").body
    kill_and_restart(exchange, "gateway")
    after = [broker.order(order_id) for order_id in order_ids], broker.get("/balance").body
    assert after == before


def unmatched(broker: Api, side: str, symbol: str) -> Answer:
    """The answer to an order whose outcome does not come."""
    order = {"document_number": "1", "side": side, "symbol": symbol, "quantity": 5, "price": 100}
    return broker.call("POST", "/orders", order, BRIEFLY)


def test_matcher_stopped_orders_are_accepted_and_matched_after_restart(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    exchange.stack.stop("matcher")
    resting, taking = (unmatched(broker, side, symbol) for side in ("ask", "bid"))
    assert (resting.status, taking.status) == (202, 202)
    assert resting.headers["location"] == f"/orders/{resting.body['order_id']}"
    exchange.stack.start("matcher")
    exchange.stack.wait_ready("matcher")
    order_ids = [str(answer.body["order_id"]) for answer in (resting, taking)]
    eventually(
        "matched", lambda: all(broker.get(f"/orders/{each}").status == 200 for each in order_ids)
    )
    assert {broker.order(each)["closed_reason"] for each in order_ids} == {"filled"}


def test_matcher_stopped_order_is_not_reported_unknown_and_its_cancel_is_accepted(
    exchange: Exchange,
) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    exchange.stack.stop("matcher")
    order_id = str(unmatched(broker, "ask", symbol).body["order_id"])
    made_up = order_id[:-8] + ("0" * 8 if order_id[-8:] != "0" * 8 else "1" * 8)
    assert broker.get(f"/orders/{order_id}").status == 503
    assert broker.cancel(order_id, BRIEFLY).status == 202
    exchange.stack.start("matcher")
    exchange.stack.wait_ready("matcher")
    eventually("outcome", lambda: broker.get(f"/orders/{order_id}").status == 200)
    eventually("cancelled", lambda: broker.order(order_id)["closed_reason"] == "cancelled")
    assert broker.get(f"/orders/{made_up}").status == 404
    assert broker.cancel(made_up).status == 404


@pytest.mark.parametrize("value", [b"\xff{", b"", None, b'{"type":"place_order"}', b"[" * 10_000])
def test_record_that_is_no_command_is_refused_and_the_matcher_continues(
    exchange: Exchange, value: bytes | None
) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    partition = default_partition(symbol, exchange.partitions)
    offset = exchange.write(COMMANDS, partition, value)
    assert broker.place("bid", symbol, 1, 100).status == 201
    outcome = exchange.outcomes(partition)[offset]
    assert outcome.event == CommandRefused("malformed_command")
    log = exchange.stack.services["matcher"].log_file.read_text()
    assert f'"offset":{offset}' in log


def test_postgres_stopped_orders_are_accepted_and_stored_after_restart(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    exchange.postgres.kill()
    try:
        order_ids = trade_some(exchange, broker, symbol)
        # Closed orders that are not stored yet stay in memory, so this read needs no database.
        assert broker.order(order_ids[0])["closed_reason"] == "filled"
    finally:
        exchange.postgres.start()

    def rows() -> int:
        with contextlib.suppress(psycopg.Error), psycopg.connect(exchange.database_url) as database:
            found = database.execute("SELECT count(*) FROM orders WHERE symbol = %s", [symbol])
            return int((found.fetchone() or (0,))[0])
        return 0

    eventually("rows", lambda: rows() == len(order_ids))


def test_kafka_stopped_and_started_answers_agree_with_the_log_and_orders_resume(
    exchange: Exchange,
) -> None:
    symbols, broker = [exchange.symbol() for _ in range(4)], exchange.broker()
    pids = {name: child.pid for name, child in exchange.stack.services.items()}
    clients = LoggingClients(broker, "", symbols)
    with clients.placing():
        eventually("orders", lambda: clients.matched_since(0.0) > 50)
        exchange.kafka.stop()
        stopped_s = time.monotonic()
        try:
            eventually("refusals", lambda: any(each.status == 503 for each in list(clients.sent)))
        finally:
            exchange.kafka.start()
        eventually("orders again", lambda: clients.matched_since(stopped_s) > 50, timeout_s=60)
    statuses = {each.client_order_id: each.status for each in clients.sent}
    assert set(statuses.values()) <= {201, 202, 503, 504}

    in_log = Counter(
        value.split(b'"client_order_id":"')[1].split(b'"')[0].decode()
        for symbol in symbols
        for value in exchange.records_of_symbol(symbol)
        if b'"client_order_id"' in value
    )
    times = {
        status: {in_log[name] for name, answered in statuses.items() if answered == status}
        for status in (201, 202, 503, 504)
    }
    assert times[201] | times[202] == {1}
    assert times[503] == {0}
    assert times[504] <= {0, 1}
    made_up = ids.order_id(now_ms(), 0, 1)
    # 503 as long as the end of the command log is not known again.
    eventually("certainty", lambda: broker.get(f"/orders/{made_up}").status == 404)
    assert {name: child.pid for name, child in exchange.stack.services.items()} == pids
    assert all(child.alive for child in exchange.stack.services.values())
