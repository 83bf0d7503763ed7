"""What travels to a broker's URL, and what the API says of it.

The bodies are signed byte by byte: a retry sends the same bytes again.
"""

from typing import Literal

from msgspec import Struct

from schemas.units import Side

# Of a delivery: the side of the trade it tells of, or a test that its broker asked for.
Kind = Literal["bid", "ask", "test"]
DeliveryStatus = Literal["pending", "delivered", "parked"]

DELIVERY_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-(bid|ask|test)$(?!\n)"


def delivery_id(event_id: str, kind: Kind) -> str:
    """The `webhook-id`: the same over retries, replays of the log included."""
    return f"{event_id}-{kind}"


class TradeExecuted(Struct, frozen=True, tag_field="event", tag="trade_executed"):
    """One side of a trade, as its broker is told. `order_remaining_quantity`: after this trade."""

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    price: int
    quantity: int
    order_remaining_quantity: int
    executed_at: str


class WebhookTest(Struct, frozen=True, tag_field="event", tag="test"):
    """What `POST /webhooks/test` sends."""

    test_id: str


class DeliveryResource(Struct, frozen=True):
    """One webhook and how far it has come. `id` is its `webhook-id`.

    `parked`: given up, or the receiver said 410; it is sent again only when asked for.
    `last_status`: what the receiver answered last; `last_error`: why that was no success.
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
    """Newest first. `next_cursor` asks for what came before these; null: nothing did."""

    deliveries: list[DeliveryResource]
    next_cursor: str | None


class RotatedSecret(Struct, frozen=True):
    """The new secret, shown this once. Until `former_until` the former one signs as well."""

    webhook_secret: str
    former_until: str | None
