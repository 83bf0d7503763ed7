"""Messages of the command log, one per record: orders and cancels by ingest, the rest by matchers.

Imperative names; frozen. Bounds are part of the type, so decoding validates.
"""

from msgspec import Struct

from schemas.quotas import Quotas
from schemas.units import (
    BrokerId,
    ClientOrderId,
    DocumentNumber,
    OrderId,
    OrderType,
    PriceCents,
    Quantity,
    Side,
    Symbol,
    TimestampMs,
)


class PlaceOrder(
    Struct, frozen=True, tag_field="type", tag="place_order", omit_defaults=True, gc=False
):
    """Enter an order. `price` is present exactly when `order_type` is limit."""

    order_id: OrderId
    broker_id: BrokerId
    document_number: DocumentNumber
    symbol: Symbol
    side: Side
    order_type: OrderType
    quantity: Quantity
    price: PriceCents | None = None
    valid_until: TimestampMs | None = None
    client_order_id: ClientOrderId | None = None


class CancelOrder(
    Struct, frozen=True, tag_field="type", tag="cancel_order", omit_defaults=True, gc=False
):
    """Cancel the rest of an open order. Names the broker, because the matcher checks it again."""

    order_id: OrderId
    broker_id: BrokerId


class Tick(Struct, frozen=True, tag_field="type", tag="tick", gc=False):
    """Advance the partition's clock in a quiet market, to the record's timestamp."""


class SetQuotas(Struct, frozen=True, tag_field="type", tag="set_quotas", gc=False):
    """Apply these quotas from here on. Before the first one a partition has none, and an order id
    is compared with those of open orders only."""

    quotas: Quotas


Command = PlaceOrder | CancelOrder | Tick | SetQuotas
