"""A broker with a webhook receiver: received webhooks against the expected ones.

Webhooks may repeat and arrive late. To prove that no further one comes, a test requests a test
webhook after all expected ones have arrived: nothing else may arrive before it.
"""

import time
from collections.abc import Sequence
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from conformance.api import Answer
from conformance.receiver import Received, Receiver
from conformance.trader import PATIENCE_S, POLL_S, Market, Trader, expect_answer

Event = dict[str, Any]


class Hooked(Trader):
    """A broker with a webhook URL. `secret` is the one of its registration."""

    def __init__(self, market: Market, receiver: Receiver, path: str, name: str) -> None:
        url = f"{receiver.url}/{path}"
        registered = market.registered({"name": name, "webhook_url": url})
        super().__init__(market.client(registered["api_key"]), registered["broker_id"])
        self.secret = str(registered["webhook_secret"])
        self._receiver = receiver
        self._path = f"/hooks/{path}"

    def received(self) -> list[Received]:
        """All requests to this broker's URL, with repeats."""
        return [came for came in list(self._receiver.received) if came.path == self._path]

    def events(self) -> list[Event]:
        """Verified events, each webhook-id once."""
        __tracebackhide__ = True
        found = {came.webhook_id: self.verified(came) for came in self.received()}
        return list(found.values())

    def verified(self, came: Received, secret: str | None = None) -> Event:
        """The event, if it is signed with this secret, else the first one."""
        __tracebackhide__ = True
        try:
            return dict(Webhook(secret or self.secret).verify(came.body, came.headers))
        except WebhookVerificationError as error:
            message = f"expected a webhook that is signed with the secret: {error}. {came}"
        pytest.fail(message, pytrace=False)

    def expect_events(self, *events: Event) -> None:
        """Fail unless exactly these events arrive, in this order."""
        __tracebackhide__ = True
        self._wait_for(len(events))
        self._expect(list(events))
        mark = self.test()
        self._wait_for(len(events) + 1)
        self._expect([*events, {"event": "test", "test_id": mark.body["id"].removesuffix("-test")}])

    def _wait_for(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while len(self.events()) < count and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def _expect(self, events: Sequence[Event]) -> None:
        __tracebackhide__ = True
        arrived = self.events()
        if arrived != events:
            pytest.fail(
                f"expected the events {list(events)}, got {arrived}. "
                f"Deliveries listed by the exchange: {self.deliveries()}",
                pytrace=False,
            )

    def events_of(self, order_id: str) -> list[Event]:
        """The expected events of the order's trades."""
        order = self.order(order_id)
        left = order["quantity"]
        events = []
        for trade in order["trades"]:
            left -= trade["quantity"]
            events.append(
                {
                    "event": "trade_executed",
                    "trade_id": trade["trade_id"],
                    "order_id": order_id,
                    "symbol": order["symbol"],
                    "side": order["side"],
                    "price": trade["price"],
                    "quantity": trade["quantity"],
                    "order_remaining_quantity": left,
                    "executed_at": trade["executed_at"],
                }
            )
        return events

    def test(self) -> Answer:
        """Request a test webhook."""
        __tracebackhide__ = True
        return expect_answer("a test", self.api.call("POST", "/webhooks/test"), 201)

    def deliveries(self, query: str = "") -> list[dict[str, Any]]:
        """The broker's deliveries, newest first."""
        __tracebackhide__ = True
        answer = self.api.get(f"/webhooks/deliveries{query}")
        return list(expect_answer("the deliveries", answer, 200).body["deliveries"])


class Hooks:
    """The receiver of one test, and the brokers registered with it."""

    def __init__(self, market: Market, receiver: Receiver) -> None:
        self.receiver = receiver
        self._market = market
        self._count = 0

    def trader(self, name: str = "Trader") -> Hooked:
        """A new broker with a separate URL."""
        self._count += 1
        return Hooked(self._market, self.receiver, str(self._count), name)

    def traders(self, count: int) -> list[Hooked]:
        """`count` new brokers."""
        return [self.trader(f"Trader {number + 1}") for number in range(count)]
