"""Own events: their numbers, their states, resuming, and snapshots of open orders."""

import random
import time
from typing import Any

import pytest

from schemas.executions import (
    CommandRefused,
    OrderAccepted,
    OrderCancelled,
    OrderRepeated,
    OrdersCancelled,
    Outcome,
)
from schemas.outcome_steps import Taking
from services.feeds import own_feed
from services.feeds.client import FeedClient
from services.reader import own_events
from services.runtime.metrics import STREAM_MESSAGES
from tests.support.feed_market import FeedMarket, RecordingOutput
from tests.support.reader_outcomes import ALICE, BOB, CAROL

BROKERS = (ALICE, BOB, CAROL)
TYPES = ("order", "order_refused", "order_repeated")


def naive(outcomes: list[Outcome], broker: str) -> list[tuple[int, str, str]]:
    """Number of the command, cause and order of each of the broker's events."""
    found = []
    for command, outcome in enumerate(outcomes):
        changes = [(each.broker_id, "expired", each.order_id) for each in outcome.expired]
        event = outcome.event
        if isinstance(event, Taking):
            cause = "placed" if isinstance(event, OrderAccepted) else "amended"
            changes.append((event.broker_id, cause, event.order_id))
            for fill in event.fills:
                changes.append((fill.maker_broker_id, "traded", fill.maker_order_id))
        elif isinstance(event, OrderCancelled):
            changes.append((event.broker_id, "cancelled", event.order_id))
        elif isinstance(event, OrdersCancelled):
            changes += [(event.broker_id, "cancelled", each.order_id) for each in event.orders]
        elif isinstance(event, OrderRepeated):
            changes.append((event.broker_id, "repeated", event.order_id))
        elif (
            isinstance(event, CommandRefused)
            and event.request is None
            and not event.code.startswith(("order_not", "not_"))
        ):
            changes.append((str(event.broker_id), "refused", str(event.order_id)))
        found += [(command, cause, order) for owner, cause, order in changes if owner == broker]
    return found


def changes_of(messages: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """Number of the command, cause and order of each message."""
    return [
        (
            each["command_offset"],
            each.get("cause") or each["type"].removeprefix("order_"),
            each["order"]["order_id"] if each["type"] == "order" else each["order_id"],
        )
        for each in messages
    ]


class ClientOrders:
    """A broker's open orders, kept by the rules of `docs/feeds.md`."""

    def __init__(self) -> None:
        self.open: dict[str, dict[str, Any]] = {}
        self.last: dict[str, int] = {}
        self.snapshots = 0

    def apply(self, message: dict[str, Any]) -> None:
        if message["type"] == "orders_snapshot":
            if message["part"] == 1:
                self.open, self.last = {}, dict(message["sequences"])
                self.snapshots += 1
            assert message["sequences"] == self.last
            self.open |= {order["order_id"]: order for order in message["orders"]}
        elif message["type"] in TYPES:
            partition = str(message["partition"])
            if message["sequence"] <= self.last.get(partition, 0):
                return
            assert message["sequence"] == self.last.get(partition, 0) + 1, "a gap"
            self.last[partition] = message["sequence"]
            if message["type"] == "order":
                order = message["order"]
                self.open.pop(order["order_id"], None)
                if order["status"] == "open":
                    self.open[order["order_id"]] = order


def kept(output: RecordingOutput, last: int = 0) -> ClientOrders:
    orders = ClientOrders()
    orders.last["0"] = last
    for message in output.received:
        orders.apply(message)
    return orders


def resting(market: FeedMarket, broker: str) -> dict[str, Any]:
    """Remaining quantities of the broker's open orders in the views."""
    records = market.views.orders_of(broker, own_feed._EVERY)
    return {each: r.remaining_quantity for each, r in records if r.closed_reason is None}


def require_equal_orders(
    market: FeedMarket, broker: str, output: RecordingOutput, last: int = 0
) -> None:
    found = kept(output, last).open
    assert {e: order["remaining_quantity"] for e, order in found.items()} == resting(market, broker)


def subscribed(
    market: FeedMarket, broker: str, after: dict[int, int] | None
) -> tuple[FeedClient, RecordingOutput]:
    client, output = market.client()
    market.hub.subscribe_own(client, broker, after)
    client.write_out()
    return client, output


@pytest.mark.parametrize("seed", range(5))
def test_own_events_equal_the_outcomes_and_are_numbered_without_a_gap(seed: int) -> None:
    market = FeedMarket(seed=seed, brokers=BROKERS, mass_cancels=0.04)
    outputs = {broker: subscribed(market, broker, {})[1] for broker in BROKERS}
    for step in range(60):
        market.trade(3 + (seed * step) % 7)
    seen = set()
    for broker, output in outputs.items():
        messages = output.of_type(*TYPES)
        assert changes_of(messages) == naive(market.outcomes, broker)
        assert [each["sequence"] for each in messages] == list(range(1, len(messages) + 1))
        require_equal_orders(market, broker, output)
        seen |= {cause for _, cause, _ in changes_of(messages)}
    assert seen == {"placed", "amended", "traded", "cancelled", "expired", "refused", "repeated"}
    mass = [each.event for each in market.outcomes if isinstance(each.event, OrdersCancelled)]
    assert any(len(each.orders) > 1 for each in mass)


def test_own_event_has_the_state_behind_its_command_and_the_trades_of_it() -> None:
    market = FeedMarket(symbols=1, brokers=BROKERS)
    outputs = {broker: subscribed(market, broker, {})[1] for broker in BROKERS}
    # In one batch, so that later commands change the same orders.
    market.trade(200)
    filled: dict[str, int] = {}
    sides: dict[str, list[tuple[str, str]]] = {}
    for broker, output in outputs.items():
        for message in output.of_type("order"):
            for trade in message.get("trades", []):
                sides.setdefault(trade["trade_id"], []).append(
                    (broker, trade["counterparty_broker"])
                )
    assert all(sorted(one) == sorted(other[::-1] for other in one) for one in sides.values())
    for command in range(200):
        for output in outputs.values():
            for message in output.of_type("order"):
                if message["command_offset"] != command:
                    continue
                order, trades = message["order"], message.get("trades", [])
                before = filled.get(order["order_id"], 0)
                filled[order["order_id"]] = before + sum(each["quantity"] for each in trades)
                assert order["filled_quantity"] == filled[order["order_id"]]
                assert order["quantity"] == order["filled_quantity"] + order["remaining_quantity"]
    assert sum(filled.values()) == 2 * sum(trade["quantity"] for trade in market.trades) > 0


@pytest.mark.parametrize("seed", range(5))
def test_client_that_resumes_anywhere_gets_exactly_what_it_missed(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_feed, "PORTION", 7)
    market = FeedMarket(seed=seed, brokers=BROKERS)
    whole = subscribed(market, ALICE, {})[1]
    market.trade(150)
    newest = whole.of_type(*TYPES)[-1]["sequence"]
    rng = random.Random(seed)
    resumed = {last: subscribed(market, ALICE, {0: last}) for last in rng.sample(range(newest), 9)}
    for _ in range(5):
        market.trade(10)
        market.flush()
    for last, (_, output) in resumed.items():
        assert output.of_type(*TYPES) == whole.of_type(*TYPES)[last:]
        assert output.of_type("orders_snapshot") == []


@pytest.mark.parametrize("portion", [1, 3, 500])
def test_snapshot_in_parts_and_later_events_give_the_open_orders(
    portion: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_feed, "PORTION", portion)
    market = FeedMarket(brokers=BROKERS)
    market.trade(120)
    output = subscribed(market, BOB, None)[1]
    for _ in range(10):
        market.trade(5)
        market.flush()
    parts = output.of_type("orders_snapshot")
    assert [each["part"] for each in parts] == list(range(1, parts[0]["parts"] + 1))
    assert (len(parts) > 1) is (portion < 500)
    first_event = next(n for n, each in enumerate(output.received) if each["type"] in TYPES)
    assert all(each["type"] != "orders_snapshot" for each in output.received[first_event:])
    require_equal_orders(market, BOB, output)


def test_snapshot_of_a_broker_without_orders_is_one_empty_part() -> None:
    market = FeedMarket()
    market.trade(3)
    output = subscribed(market, CAROL, None)[1]
    (part,) = output.of_type("orders_snapshot")
    wanted = {"part": 1, "parts": 1, "sequences": {"0": 0}, "orders": []}
    assert part == {"type": "orders_snapshot"} | wanted


def test_events_that_are_no_longer_kept_are_replaced_by_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_events, "KEPT_MAX", 30)
    market = FeedMarket(brokers=BROKERS)
    market.trade(200)
    numbers = dict(market.views.own_events.numbers(ALICE))
    assert not market.own.resumes(ALICE, {0: 1})
    assert market.own.resumes(ALICE, {0: numbers[0] - 1})
    # Of another broker's many events none is needed.
    assert market.own.resumes(ALICE, numbers)
    assert not market.own.resumes(ALICE, {0: numbers[0] + 1})
    assert not market.own.resumes(ALICE, {9: 1})


def test_client_whose_missing_events_go_before_it_reads_them_gets_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_events, "KEPT_MAX", 50)
    monkeypatch.setattr(own_feed, "PORTION", 5)
    market = FeedMarket(brokers=BROKERS)
    market.trade(60)
    last = market.views.own_events.numbers(ALICE)[0]
    client, output = subscribed(market, ALICE, {0: last - 6})
    client.fall_behind(0.0)
    for _ in range(20):
        market.trade(20)
        # The hub's clock is the machine's; a client that fell behind at 0 would be cut by it.
        client._behind_since_s = time.monotonic()
        market.flush()
    client.catch_up()
    for _ in range(3):
        market.flush()
        market.trade(3)
    market.flush()
    assert len(output.of_type("orders_snapshot")) > 0
    require_equal_orders(market, ALICE, output, last - 6)


def test_number_restored_from_the_database_is_continued() -> None:
    market = FeedMarket()
    market.views.own_events.restore(ALICE, 0, 40)
    output = subscribed(market, ALICE, {0: 40})[1]
    market.trade(1)
    assert [each["sequence"] for each in output.of_type(*TYPES)] == [41]
    assert not market.own.resumes(ALICE, {0: 39})


def test_own_events_of_several_brokers_in_one_batch_are_counted_once_each() -> None:
    market = FeedMarket(seed=3, brokers=BROKERS)
    outputs = []
    for broker in BROKERS:
        client, output = market.client()
        market.hub.subscribe_own(client, broker, {})
        outputs.append(output)
    counted = STREAM_MESSAGES.labels("orders")._value
    before = counted.get()
    market.trade(60)
    sent = sum(len(output.of_type(*TYPES)) for output in outputs)
    assert (counted.get() - before, sent > 60) == (sent, True)


def test_events_of_an_ended_subscription_are_not_sent() -> None:
    market = FeedMarket()
    client, output = subscribed(market, ALICE, {})
    market.hub.remove(client)
    market.trade(5)
    market.flush()
    assert output.of_type(*TYPES) == []
    assert market.own.behind() == []
