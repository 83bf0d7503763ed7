"""Webhook bodies, and the API's description of deliveries.

The exact bytes of a body are signed, so a retry must send the same bytes.
"""

from typing import Literal

from msgspec import Struct

from schemas.units import Side

# Of a delivery: the broker's side of the trade, or a test that the broker requested.
Kind = Literal["bid", "ask", "test"]
DeliveryStatus = Literal["pending", "delivered", "parked"]

DELIVERY_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-(bid|ask|test)$(?!\n)"


def delivery_id(event_id: str, kind: Kind) -> str:
    """The `webhook-id`: equal in all retries, also after a replay of the command log."""
    return f"{event_id}-{kind}"


class TradeExecuted(Struct, frozen=True, tag_field="event", tag="trade_executed"):
    """One side of a trade, sent to its broker. `order_remaining_quantity`: after this trade."""

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    price: int
    quantity: int
    order_remaining_quantity: int
    executed_at: str


class WebhookTest(Struct, frozen=True, tag_field="event", tag="test"):
    """The body that `POST /webhooks/test` sends."""

    test_id: str


class DeliveryResource(Struct, frozen=True):
    """The state of one webhook. `id` is its `webhook-id`.

    `parked`: all attempts failed, or the receiver returned 410; it is sent again only on request.
    `last_status`: the receiver's last status code; `last_error`: the reason of the last failure.
    """

    id: str
    event: Literal["trade_executed", "test"]
    trade_id: str | None
    status: DeliveryStatus
    attempts: int
    queued_at: str
    next_attempt_at: str | None
    finished_at: str | None
    last_status: int | None
    last_error: str | None


class DeliveriesResource(Struct, frozen=True):
    """Deliveries, newest first. `next_cursor` requests older ones; null if there are none."""

    deliveries: list[DeliveryResource]
    next_cursor: str | None


class RotatedSecret(Struct, frozen=True):
    """The new secret, shown only here. Until `former_until` the former one signs as well."""

    webhook_secret: str
    former_until: str | None
