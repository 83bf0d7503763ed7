"""Check of received webhooks against a small market, correct and with one thing wrong."""

import msgspec
import pytest

from schemas.executions import Fill, OrderAccepted, Outcome
from tests.chaos.reconciliation import Market
from tests.chaos.webhook_check import ReceivedWebhook, WebhookCheck, check_webhooks

MAKER = OrderAccepted("m", "b1", "1", "PETR4", "ask", "limit", 100, 100, 1, 10)
TAKER = OrderAccepted(
    "t",
    "b2",
    "1",
    "PETR4",
    "bid",
    "limit",
    70,
    0,
    2,
    11,
    closed_reason="filled",
    fills=(Fill("x", 1, 10, 40, "m", "b1", 60), Fill("y", 2, 10, 30, "m", "b1", 30)),
)
MARKET = Market([], [Outcome(1, MAKER), Outcome(2_000, TAKER)], ["x", "y"])


def body(**changes: object) -> bytes:
    event = {
        "event": "trade_executed",
        "trade_id": "x",
        "order_id": "t",
        "symbol": "PETR4",
        "side": "bid",
        "price": 10,
        "quantity": 40,
        "order_remaining_quantity": 30,
        "executed_at": "1970-01-01T00:00:02.000Z",
    }
    return msgspec.json.encode(event | changes)


SECOND = {"trade_id": "y", "quantity": 30, "order_remaining_quantity": 0}
MAKERS = {"order_id": "m", "side": "ask"}
GOOD = [
    ReceivedWebhook("b2", "x-bid", body()),
    ReceivedWebhook("b2", "y-bid", body(**SECOND)),
    ReceivedWebhook("b1", "x-ask", body(**MAKERS, order_remaining_quantity=60)),
    ReceivedWebhook("b1", "y-ask", body(**SECOND | MAKERS | {"order_remaining_quantity": 30})),
    # At least once.
    ReceivedWebhook("b2", "x-bid", body()),
]


def test_webhooks_of_both_sides_of_each_fill_are_expected_and_may_repeat() -> None:
    found = check_webhooks(MARKET, {"b1", "b2"}, GOOD)
    assert found == WebhookCheck(expected=4, received=4, repeated=1, failures=[])


def test_webhooks_of_brokers_without_a_url_are_failures() -> None:
    assert check_webhooks(MARKET, {"b2"}, [GOOD[0], GOOD[1]]).failures == []
    assert len(check_webhooks(MARKET, {"b2"}, GOOD).failures) == 2


@pytest.mark.parametrize("missing", range(1, 4))
def test_webhook_that_was_not_received_is_a_failure(missing: int) -> None:
    received = [webhook for number, webhook in enumerate(GOOD) if number != missing]
    found = check_webhooks(MARKET, {"b1", "b2"}, received)
    assert (found.expected, found.received, len(found.failures)) == (4, 3, 1)
    assert "was not received" in found.failures[0]


@pytest.mark.parametrize(
    "wrong",
    [
        ReceivedWebhook("b2", "x-ask", body(**MAKERS, order_remaining_quantity=60)),
        ReceivedWebhook("b1", "x-bid", body()),
        ReceivedWebhook("b2", "z-bid", body(trade_id="z")),
        ReceivedWebhook("b2", "x-bid", body(price=11)),
        ReceivedWebhook("b2", "x-bid", body() + b" "),
    ],
    ids=["wrong side", "wrong broker", "unknown trade", "wrong price", "other bytes"],
)
def test_webhook_with_wrong_content_is_a_failure(wrong: ReceivedWebhook) -> None:
    assert len(check_webhooks(MARKET, {"b1", "b2"}, [*GOOD, wrong]).failures) == 1
