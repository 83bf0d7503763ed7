"""Messages of the command log, one per record: orders and cancels by ingest, the rest by matchers.

Imperative names; frozen. Bounds of numbers are part of the type, so decoding validates them. The
patterns of texts are only documented there: `command_texts` checks them at a fraction of the time,
and `codec.decode_command` does both.
"""

from typing import Annotated

from msgspec import Meta, Struct

from schemas.instruments import InstrumentRules, Phase
from schemas.quotas import Quotas
from schemas.units import (
    CLIENT_ORDER_ID_PATTERN,
    PRINTABLE_PATTERN,
    REQUEST_PATTERN,
    SYMBOL_PATTERN,
    UUID_PATTERN,
    DisplayQuantity,
    OrderType,
    PriceCents,
    Quantity,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TimestampMs,
)

# As the types of the same names in `units`, but a decoder does not check the patterns.
OrderId = Annotated[
    str,
    Meta(
        description="UUIDv7, or UUIDv8 if its session cancels on disconnect; carries its "
        "partition.",
        extra_json_schema={"pattern": UUID_PATTERN},
    ),
]
BrokerId = Annotated[str, Meta(description="UUID.", extra_json_schema={"pattern": UUID_PATTERN})]
DocumentNumber = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=20,
        description="The customer's document.",
        extra_json_schema={"pattern": PRINTABLE_PATTERN},
    ),
]
Symbol = Annotated[str, Meta(description="Ticker.", extra_json_schema={"pattern": SYMBOL_PATTERN})]
ClientOrderId = Annotated[
    str,
    Meta(
        description="The broker's own id.",
        extra_json_schema={"pattern": CLIENT_ORDER_ID_PATTERN},
    ),
]

RequestId = Annotated[
    str,
    Meta(
        description="A gateway's id of one call, which its outcome repeats.",
        extra_json_schema={"pattern": REQUEST_PATTERN},
    ),
]


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


class EnterOrder(PlaceOrder, frozen=True, tag_field="type", tag="enter_order", omit_defaults=True):
    """Enter an order with conditions; `schemas.conditions` says which go together.

    `time_in_force`: None is gtc for a limit order and ioc for a market order. day: it expires when
    its symbol is closed. ioc: the part that does not trade at once is closed. fok: all of it
    trades at once, or nothing does. `post_only`: refused if any of it would trade at once.
    `minimum_quantity`: unless that much trades at once, nothing does and the order is closed.
    `stop_price`: the order waits outside the book until a trade at this price or beyond elects it;
    it then takes like any other. `display_quantity`: what rests shows that much alone, and the next
    part of it once that is filled. `self_trade_prevention`: what is closed where it would trade
    with an order of the same broker and document. A program that does not know this tag stops at
    the claim of a matcher that does.
    """

    time_in_force: TimeInForce | None = None
    post_only: bool = False
    minimum_quantity: Quantity | None = None
    stop_price: PriceCents | None = None
    display_quantity: Quantity | None = None
    self_trade_prevention: SelfTradePrevention | None = None


class CancelOrder(
    Struct, frozen=True, tag_field="type", tag="cancel_order", omit_defaults=True, gc=False
):
    """Cancel the rest of an open order. Names the broker, because the matcher checks it again."""

    order_id: OrderId
    broker_id: BrokerId


class CancelAll(
    Struct, frozen=True, tag_field="type", tag="cancel_all", omit_defaults=True, gc=False
):
    """Cancel the broker's open orders on this partition: all, or of one symbol, or of one side."""

    broker_id: BrokerId
    request: RequestId
    symbol: Symbol | None = None
    side: Side | None = None


class AmendOrder(
    Struct, frozen=True, tag_field="type", tag="amend_order", omit_defaults=True, gc=False
):
    """Replace values of an open order, which keeps its id. Absent values stay.

    `quantity`: of the whole order, with its fills, so a fill in the meantime cannot oversize it.
    `of_quantity`, needed with it: the quantity that it replaces; a matcher has none of an order
    that was not amended before. `post_only`: as the order is; refused if any of it would
    trade at once. `display_quantity`: of an iceberg order, from its next slice on; 0: it shows all.
    `stop_price`: of a stop order that waits. Without `waits`, which says that the gateway knows the
    order as such a one, a stop order that waits is not amended.
    """

    order_id: OrderId
    broker_id: BrokerId
    request: RequestId
    quantity: Quantity | None = None
    of_quantity: Quantity | None = None
    price: PriceCents | None = None
    valid_until: TimestampMs | None = None
    post_only: bool = False
    display_quantity: DisplayQuantity | None = None
    stop_price: PriceCents | None = None
    waits: bool = False


class SetInstrument(
    Struct, frozen=True, tag_field="type", tag="set_instrument", omit_defaults=True, gc=False
):
    """Give a symbol an instrument, or replace the rules of the one that it has.

    The first one needs a `reference_price`; without one a later command keeps the present price.
    """

    symbol: Symbol
    request: RequestId
    rules: InstrumentRules
    reference_price: PriceCents | None = None


class SetPhase(
    Struct, frozen=True, tag_field="type", tag="set_phase", omit_defaults=True, gc=False
):
    """Change the phase of a symbol that has an instrument.

    Refused if `expected` is given and the symbol is in neither that phase nor the new one.
    """

    symbol: Symbol
    request: RequestId
    phase: Phase
    expected: Phase | None = None


class Tick(Struct, frozen=True, tag_field="type", tag="tick", gc=False):
    """Advance the partition's clock in a quiet market, to the record's timestamp."""


class SetQuotas(Struct, frozen=True, tag_field="type", tag="set_quotas", gc=False):
    """Apply these quotas from here on. Before the first one a partition has none, and an order id
    is compared with those of open orders only."""

    quotas: Quotas


Command = (
    PlaceOrder
    | EnterOrder
    | CancelOrder
    | CancelAll
    | AmendOrder
    | SetInstrument
    | SetPhase
    | Tick
    | SetQuotas
)
