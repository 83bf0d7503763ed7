"""Webhooks from the outbox in a real PostgreSQL to real receivers, sent by sender processes."""

import random
import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from msgspec import structs
from standardwebhooks import Webhook

from conformance.api import eventually
from conformance.receiver import Received, Reply, a_receiver
from schemas.brokers import Broker, WebhookSecret, webhook_secret
from services.runtime.clock import now_ms
from tests.support.outbox import (
    SECRET,
    WAIT_S,
    Outbox,
    running_sender,
    start_sender,
)
from tests.support.reader_outcomes import T0
from tests.support.servers import DatabaseServer

OLD = webhook_secret(b"o" * 32)


@pytest.fixture
def outbox(postgres: DatabaseServer) -> Iterator[Outbox]:
    made = Outbox(postgres.create_database(f"webhooks_{uuid.uuid4().hex[:12]}"))
    yield made
    made.close()


def test_both_sides_get_signed_webhooks_and_brokers_without_a_url_none(outbox: Outbox) -> None:
    with a_receiver() as buyers, a_receiver() as sellers, running_sender(outbox.url):
        buyer, seller = outbox.broker(buyers.url), outbox.broker(sellers.url)
        outbox.trade(outbox.broker(None), outbox.broker(None))
        (trade_id,) = outbox.trade(buyer, seller)
        eventually("both delivered", lambda: outbox.all_are("delivered"), WAIT_S)
        for receiver, side, left in ((buyers, "bid", 0), (sellers, "ask", 1)):
            (came,) = receiver.received
            event = Webhook(SECRET).verify(came.body, came.headers)
            assert came.webhook_id == f"{trade_id}-{side}"
            assert event == {
                "event": "trade_executed",
                "trade_id": trade_id,
                "order_id": event["order_id"],
                "symbol": "PETR4",
                "side": side,
                "price": 1000,
                "quantity": 1,
                "order_remaining_quantity": left,
                "executed_at": event["executed_at"],
            }
            assert event["executed_at"].endswith("Z")
        assert buyers.received[0].event["order_id"] != sellers.received[0].event["order_id"]


def test_webhooks_of_a_broker_arrive_in_the_order_of_its_trades(outbox: Outbox) -> None:
    with a_receiver() as receiver, running_sender(outbox.url):
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        trades = [one for _ in range(5) for one in outbox.trade(broker, counterparty, 40)]
        eventually("all delivered", lambda: outbox.all_are("delivered"), WAIT_S)
        assert receiver.ids() == [f"{trade_id}-bid" for trade_id in trades]


def test_failed_webhook_is_sent_again_with_its_id_and_delays_no_other(outbox: Outbox) -> None:
    failed: list[str] = []

    def first_fails(came: Received) -> Reply:
        if failed:
            return Reply()
        failed.append(came.webhook_id)
        return Reply(500)

    with a_receiver(first_fails) as receiver, running_sender(outbox.url):
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        outbox.trade(broker, counterparty, 5)
        eventually("all delivered", lambda: outbox.all_are("delivered"), WAIT_S)
        came = receiver.ids()
        assert len(came) == 6
        assert (came[0], came[-1]) == (failed[0], failed[0])
        first, last = receiver.received[0], receiver.received[-1]
        assert first.body == last.body
        assert int(first.headers["webhook-timestamp"]) < int(last.headers["webhook-timestamp"])
        assert [row.attempts for row in outbox.rows(broker)] == [2, 1, 1, 1, 1]


def test_broken_receiver_delays_no_other(outbox: Outbox) -> None:
    others_are_delivered = threading.Event()

    def hold(_: Received) -> Reply:
        others_are_delivered.wait(60)
        return Reply()

    with a_receiver(hold) as broken, a_receiver() as good, running_sender(outbox.url):
        slow = [outbox.broker(broken.url) for _ in range(3)]
        quick, counterparty = outbox.broker(good.url), outbox.broker(None)
        for broker in slow:
            outbox.trade(broker, counterparty, 10)
        eventually(
            "the broken receiver holds all requests",
            lambda: len(broken.received) >= len(slow),
            WAIT_S,
        )
        outbox.trade(quick, counterparty, 100)
        eventually(
            "the other receiver gets all webhooks",
            lambda: outbox.all_are("delivered", quick),
            WAIT_S,
        )
        assert not any("delivered" in outbox.statuses(broker) for broker in slow)
        others_are_delivered.set()
        eventually(
            "the broken receiver gets its webhooks", lambda: outbox.all_are("delivered"), WAIT_S
        )


def test_receiver_that_answered_410_gets_nothing_until_enabled_again(outbox: Outbox) -> None:
    with a_receiver(lambda _: Reply(410)) as receiver, running_sender(outbox.url):
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        outbox.trade(broker, counterparty, 20)
        eventually("all parked", lambda: outbox.all_are("parked"), WAIT_S)
        assert len(receiver.received) == 1
        assert outbox.rows()[0].last_status == 410
        assert outbox.rows()[-1].last_error == "the receiver said that it is gone"


def test_retry_after_of_a_receiver_delays_all_its_webhooks(outbox: Outbox) -> None:
    busy = a_receiver(lambda _: Reply(429, {"Retry-After": "1000"}))
    with busy as receiver, a_receiver() as other_receiver:
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        other = outbox.broker(other_receiver.url)
        outbox.trade(broker, counterparty, 5)
        with running_sender(outbox.url):
            eventually("one attempt", lambda: outbox.rows(broker)[0].attempts == 1, WAIT_S)
            outbox.trade(broker, counterparty, 5)
            # The sender looks for due webhooks again after each of these three deliveries.
            for _ in range(3):
                outbox.trade(other, counterparty)
                eventually("delivered", lambda: outbox.all_are("delivered", other), WAIT_S)
        first, *rest = outbox.rows(broker)
        assert 900 < first.due_s <= 1000
        assert [row.attempts for row in rest] == [0] * 9
        assert len(receiver.received) == 1


def test_webhook_without_attempts_left_is_parked_alone(outbox: Outbox) -> None:
    def refuse_one(came: Received) -> Reply:
        return Reply(500 if came.event["order_remaining_quantity"] == 1 else 200)

    with a_receiver(refuse_one) as receiver:
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        outbox.trade(broker, counterparty, 2)
        outbox.execute("UPDATE webhook_deliveries SET attempts = 6")
        with running_sender(outbox.url):
            eventually("both ended", lambda: outbox.statuses() == ["parked", "delivered"], WAIT_S)
        parked = outbox.rows()[0]
        assert (parked.attempts, parked.last_status, parked.last_error) == (7, 500, "answered 500")


def test_webhooks_of_a_receiver_that_failed_for_too_long_are_parked_unsent(outbox: Outbox) -> None:
    with a_receiver(lambda _: Reply(500)) as receiver:
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        outbox.trade(broker, counterparty, 10)
        outbox.execute("UPDATE webhook_deliveries SET queued_at = now() - interval '1 h'")
        outbox.execute("UPDATE webhook_endpoints SET failures = 3, paused_until = 'infinity'")
        with running_sender(outbox.url):
            eventually("all parked", lambda: outbox.all_are("parked"), WAIT_S)
        assert receiver.received == []


def test_paused_receiver_that_recovers_gets_everything_in_order(outbox: Outbox) -> None:
    down = threading.Event()
    down.set()
    refused: set[str] = set()

    def refuse_while_down(came: Received) -> Reply:
        if not down.is_set():
            return Reply()
        refused.add(came.webhook_id)
        return Reply(503)

    with a_receiver(refuse_while_down) as receiver:
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        with running_sender(outbox.url):
            trades = outbox.trade(broker, counterparty, 30)
            eventually(
                "paused", lambda: sum(row.attempts > 0 for row in outbox.rows()) >= 3, WAIT_S
            )
            down.clear()
            eventually("all delivered", lambda: outbox.all_are("delivered"), WAIT_S)
        sides = [f"{trade_id}-bid" for trade_id in trades]
        untouched = [side for side in sides if side not in refused]
        assert len(untouched) > 20
        delivered = [came for came in receiver.ids() if came in untouched]
        assert delivered == untouched
        assert set(receiver.ids()) == set(sides)


def test_two_secrets_sign_until_the_former_one_ends(outbox: Outbox) -> None:
    with a_receiver() as receiver, running_sender(outbox.url):
        both = (WebhookSecret(SECRET), WebhookSecret(OLD, until=now_ms() + 3_600_000))
        broker, counterparty = outbox.broker(receiver.url, both), outbox.broker(None)
        outbox.trade(broker, counterparty)
        eventually("delivered", lambda: outbox.all_are("delivered"), WAIT_S)
        over = (WebhookSecret(SECRET), WebhookSecret(OLD, until=now_ms()))
        outbox.upsert_broker(Broker(broker, "Broker", "0" * 64, T0, receiver.url, over))
        outbox.trade(broker, counterparty)
        eventually("delivered", lambda: outbox.all_are("delivered"), WAIT_S)
        first, second = receiver.received
        for secret in (SECRET, OLD):
            Webhook(secret).verify(first.body, first.headers)
        Webhook(SECRET).verify(second.body, second.headers)
        assert second.headers["webhook-signature"].count("v1,") == 1


def test_broker_without_a_secret_sees_the_remedy_in_the_error(outbox: Outbox) -> None:
    with a_receiver() as receiver, running_sender(outbox.url):
        broker, counterparty = outbox.broker(receiver.url, ()), outbox.broker(None)
        outbox.trade(broker, counterparty)
        eventually("tried", lambda: outbox.rows()[0].attempts > 0, WAIT_S)
        assert "rotate" in (outbox.rows()[0].last_error or "")
        assert receiver.received == []


def test_private_address_is_contacted_only_if_allowed(outbox: Outbox) -> None:
    with a_receiver() as receiver:
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        outbox.trade(broker, counterparty)
        with running_sender(outbox.url, {"EXCHANGE_WEBHOOK_ALLOW_CIDRS": ""}):
            eventually("tried", lambda: outbox.rows()[0].attempts > 0, WAIT_S)
        assert outbox.rows()[0].last_error == "not sent: the address is not public"
        assert receiver.connections == 0


class Absent:
    """A receiver with outages: it does not process the requests that arrive during one."""

    def __init__(self) -> None:
        self.away = threading.Event()
        self.held = threading.Event()
        self.back = threading.Event()
        self.taken: list[Received] = []

    def __call__(self, came: Received) -> Reply:
        if self.away.is_set():
            self.held.set()
            self.back.wait(60)
            return Reply(500)
        self.taken.append(came)
        return Reply()

    def leave(self) -> None:
        """Start an outage."""
        self.back.clear()
        self.held.clear()
        self.away.set()

    def come_back(self) -> None:
        """End the outage; requests held during it are answered with status 500."""
        self.away.clear()
        self.back.set()


def test_senders_killed_at_any_point_lose_nothing_and_repeat_with_the_same_ids(
    outbox: Outbox,
) -> None:
    seed = 11
    draw = random.Random(seed)
    minds = Absent(), Absent()
    with a_receiver(minds[0]) as one, a_receiver(minds[1]) as two:
        brokers = [outbox.broker(one.url), outbox.broker(two.url)]
        expected = set()
        for lap in range(8):
            sender = start_sender(outbox.url)
            expected |= {
                f"{trade_id}-{side}"
                for trade_id in outbox.trade(brokers[0], brokers[1], 150)
                for side in ("bid", "ask")
            }
            # Kill at a random moment: after so many posts or a time-out; in odd laps during a post.
            after = len(one.received) + draw.randrange(1, 150)
            deadline = time.monotonic() + draw.uniform(2, 6)
            while len(one.received) < after and time.monotonic() < deadline:
                time.sleep(0.001)
            if lap % 2:
                minds[0].leave()
                minds[0].held.wait(5)
                time.sleep(0.1)
            sender.kill()
            sender.wait()
            minds[0].come_back()
        assert "pending" in outbox.statuses(), f"seed {seed}: killed too late"
        # Claims of a killed sender are free immediately, not only when the lease expires.
        outbox.execute("UPDATE webhook_endpoints SET leased_until = 'infinity'")
        with running_sender(outbox.url):
            eventually("all delivered", lambda: outbox.all_are("delivered"), WAIT_S)
        taken = minds[0].taken + minds[1].taken
        assert {came.webhook_id for came in taken} == expected, f"seed {seed}"
        bodies: dict[str, set[bytes]] = {}
        for came in one.received + two.received:
            bodies.setdefault(came.webhook_id, set()).add(came.body)
        assert all(len(same) == 1 for same in bodies.values())
        for mind in minds:
            firsts = list(dict.fromkeys(came.webhook_id for came in mind.taken))
            assert firsts == sorted(firsts), f"seed {seed}: out of order"


def test_two_senders_share_the_work_and_send_each_webhook_once_in_order(outbox: Outbox) -> None:
    with a_receiver() as receiver:
        brokers = [outbox.broker(f"{receiver.url}/{number}") for number in range(8)]
        counterparty = outbox.broker(None)
        with running_sender(outbox.url), running_sender(outbox.url):
            expected = {
                broker: [f"{trade_id}-bid" for trade_id in outbox.trade(broker, counterparty, 30)]
                + [f"{trade_id}-bid" for trade_id in outbox.trade(broker, counterparty, 30)]
                for broker in brokers
            }
            eventually("all delivered", lambda: outbox.all_are("delivered"), WAIT_S)
        for number, broker in enumerate(brokers):
            came = [r.webhook_id for r in receiver.received if r.path == f"/hooks/{number}"]
            assert came == expected[broker]


def test_connection_cut_by_postgres_loses_no_webhook(outbox: Outbox) -> None:
    with a_receiver() as receiver, running_sender(outbox.url):
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        trades = outbox.trade(broker, counterparty, 100)
        eventually("some delivered", lambda: len(receiver.received) > 5, WAIT_S)
        outbox.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND query NOT LIKE '%%order_changes%%' AND query LIKE '%%webhook%%'"
        )
        eventually("all delivered", lambda: outbox.all_are("delivered"), WAIT_S)
        assert set(receiver.ids()) == {f"{trade_id}-bid" for trade_id in trades}


def test_sender_without_an_outbox_fails_with_the_reason(postgres: DatabaseServer) -> None:
    url = postgres.create_database(f"empty_{uuid.uuid4().hex[:12]}")
    assert start_sender(url).wait(60) == 3
    assert start_sender("postgresql://127.0.0.1:1/x", {"EXCHANGE_PORT": "x"}).wait(60) == 2
    bad = {"EXCHANGE_WEBHOOK_ALLOW_CIDRS": "10.0.0.1/8"}
    assert start_sender(url, bad).wait(60) == 2


def test_unchanged_broker_stored_again_keeps_the_state_of_its_endpoint(outbox: Outbox) -> None:
    broker = Broker(
        outbox.broker("http://a/"), "Broker", "0" * 64, T0, "http://a/", (WebhookSecret(SECRET),)
    )
    outbox.execute("UPDATE webhook_endpoints SET failures = 4")
    outbox.upsert_broker(structs.replace(broker, name="Another"))
    assert outbox.failures(broker.broker_id) == 4
