"""Webhooks from a broker's view: registration and trades over REST, delivery to a receiver."""

import time
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from conformance.api import Api, eventually
from conformance.receiver import Received, Reply, a_receiver
from tests.support.exchange import Exchange


def broker_with_webhook(exchange: Exchange, url: str) -> tuple[Api, str]:
    """Register a broker with a webhook URL; return its API and its secret."""
    body = {"name": "with a webhook", "webhook_url": url}
    answer = exchange.admin().call("POST", "/register", body)
    assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
    return Api(exchange.url, answer.body["api_key"]), answer.body["webhook_secret"]


def deliveries(broker: Api, query: str = "") -> list[dict[str, Any]]:
    answer = broker.get(f"/webhooks/deliveries{query}")
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.body["deliveries"]
    return found


def test_both_sides_of_a_trade_receive_what_the_api_reports(exchange: Exchange) -> None:
    symbol = exchange.symbol()
    with a_receiver() as sellers, a_receiver() as buyers:
        seller, sold_with = broker_with_webhook(exchange, sellers.url)
        buyer, bought_with = broker_with_webhook(exchange, buyers.url)
        resting = seller.place("ask", symbol, 100, 1000).body
        taking = buyer.place("bid", symbol, 30, 1010).body
        eventually("both received", lambda: bool(sellers.received and buyers.received), 90)
        (trade,) = taking["trades"]
        for receiver, secret, order, side in (
            (sellers, sold_with, seller.order(resting["order_id"]), "ask"),
            (buyers, bought_with, taking, "bid"),
        ):
            (webhook,) = receiver.received
            assert Webhook(secret).verify(webhook.body, webhook.headers) == {
                "event": "trade_executed",
                "trade_id": trade["trade_id"],
                "order_id": order["order_id"],
                "symbol": symbol,
                "side": side,
                "price": 1000,
                "quantity": 30,
                "order_remaining_quantity": order["remaining_quantity"],
                "executed_at": trade["executed_at"],
            }
        eventually("recorded", lambda: deliveries(buyer)[0]["status"] == "delivered")
        (shown,) = deliveries(buyer)
        assert shown["id"] == f"{trade['trade_id']}-bid"
        assert (shown["attempts"], shown["last_status"], shown["last_error"]) == (1, 200, None)
        assert [one["id"] for one in deliveries(seller)] == [f"{trade['trade_id']}-ask"]


def test_test_webhooks_are_delivered_listed_and_replayed(exchange: Exchange) -> None:
    with a_receiver() as receiver:
        broker, secret = broker_with_webhook(exchange, receiver.url)
        queued = [broker.call("POST", "/webhooks/test").body["id"] for _ in range(5)]
        eventually("received", lambda: len(receiver.received) == len(queued), 90)
        eventually("recorded", lambda: not deliveries(broker, "?status=pending"))
        assert Webhook(secret).verify(receiver.received[0].body, receiver.received[0].headers) == {
            "event": "test",
            "test_id": queued[0].removesuffix("-test"),
        }
        # Page by page, newest first.
        shown: list[str] = []
        cursor = ""
        while True:
            page = broker.get(f"/webhooks/deliveries?limit=2{cursor}").body
            shown += [one["id"] for one in page["deliveries"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert shown == queued[::-1]

        replayed = broker.call("POST", f"/webhooks/deliveries/{queued[2]}/replay")
        assert (replayed.status, replayed.body["status"]) == (200, "pending")
        eventually("received again", lambda: receiver.ids()[-1] == queued[2])
        assert receiver.ids().count(queued[2]) == 2


def test_parked_delivery_replayed_by_its_broker_is_delivered(exchange: Exchange) -> None:
    gone = [True]

    def script(_: Received) -> Reply:
        return Reply(410 if gone else 200)

    with a_receiver(script) as receiver:
        broker, _ = broker_with_webhook(exchange, receiver.url)
        first = broker.call("POST", "/webhooks/test").body["id"]
        eventually("parked", lambda: len(deliveries(broker, "?status=parked")) == 1, 90)
        assert deliveries(broker)[0]["last_status"] == 410
        gone.clear()
        broker.call("POST", f"/webhooks/deliveries/{first}/replay")
        eventually("delivered", lambda: deliveries(broker)[0]["status"] == "delivered", 90)


def test_rotated_secret_and_the_former_one_both_verify(exchange: Exchange) -> None:
    with a_receiver() as receiver:
        broker, first = broker_with_webhook(exchange, receiver.url)
        rotated = broker.call("POST", "/webhooks/secret/rotate")
        assert (rotated.status, rotated.headers["cache-control"]) == (200, "no-store")
        assert rotated.body["former_until"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        second = rotated.body["webhook_secret"]
        assert second != first

        def signed_by_both() -> bool:
            broker.call("POST", "/webhooks/test")
            return any(
                webhook.headers["webhook-signature"].count("v1,") == 2
                for webhook in receiver.received
            )

        eventually("signed by both", signed_by_both, 90)
        last = receiver.received[-1]
        for secret in (first, second):
            Webhook(secret).verify(last.body, last.headers)
        third = broker.call("POST", "/webhooks/secret/rotate").body["webhook_secret"]

        def signed_by_the_third() -> bool:
            broker.call("POST", "/webhooks/test")
            last = receiver.received[-1]
            try:
                Webhook(third).verify(last.body, last.headers)
            except WebhookVerificationError:
                return False
            return True

        eventually("signed by the third", signed_by_the_third, 90)
        last = receiver.received[-1]
        Webhook(second).verify(last.body, last.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(first).verify(last.body, last.headers)


def test_secret_is_shown_only_at_registration(exchange: Exchange) -> None:
    with a_receiver() as receiver:
        broker, secret = broker_with_webhook(exchange, receiver.url)
        broker.call("POST", "/webhooks/test")
        eventually("received", lambda: bool(receiver.received), 90)
        shown = [broker.get(path).raw for path in ("/webhooks/deliveries", "/balance", "/readyz")]
        shown += [path.read_bytes() for path in exchange.stack.log_dir.glob("*.log")]
        assert not any(secret.encode() in text for text in shown)


def test_webhook_calls_with_postgres_stopped_are_503(
    exchange: Exchange,
) -> None:
    broker, _ = broker_with_webhook(exchange, "http://receiver.invalid/")
    exchange.postgres.stop()
    try:
        for method, path in (
            ("GET", "/webhooks/deliveries"),
            ("POST", "/webhooks/test"),
            ("POST", "/webhooks/deliveries/00000000-0000-8000-8000-000000000000-bid/replay"),
        ):
            answer = broker.call(method, path)
            assert (answer.status, answer.body["code"]) == (503, "not_accepted")
            assert answer.headers["retry-after"]
    finally:
        exchange.postgres.start()
    eventually("answers again", lambda: broker.get("/webhooks/deliveries").status == 200, 90)
    exchange.stack.wait_ready("webhooks")
    exchange.stack.wait_ready("sink")
