"""Request and response bodies of the REST API, shared by ingest and reader.

Instants are RFC 3339 text in UTC, prices integer cents, quantities shares.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.units import (
    BrokerName,
    ClientOrderId,
    ClosedReason,
    DisplayQuantity,
    DocumentNumber,
    GatewayName,
    NewSymbol,
    OrderKind,
    PriceCents,
    Quantity,
    SelfTradePreventionChoice,
    Side,
    TimeInForce,
    WebhookUrl,
)

Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset.")]


class RegisterRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /register`."""

    name: BrokerName
    webhook_url: WebhookUrl | None = None


class Registration(Struct, frozen=True):
    """The new broker. `api_key` and, for a `webhook_url`, `webhook_secret` are shown only here."""

    broker_id: str
    api_key: str
    webhook_secret: str | UnsetType = UNSET


class OrderRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /orders`. Limit and stop_limit need a `price`; market and stop have none.

    `valid_until` must be in the future. With a `client_order_id` it may be up to an hour ago, so
    that a late retry returns the first order; if there is none, the order is accepted and expires
    at once. `time_in_force`: gtc (the default of a limit order) rests until it is filled, cancelled
    or reaches `valid_until`; day rests until its symbol is closed, and needs one with an
    instrument; ioc (the default of a market order) trades what it can at once; fok
    trades all of its quantity at once or nothing. `post_only`: 409 if any of it would trade at
    once. `minimum_quantity`: it trades at least so much at once, or nothing, and is closed then.
    `order_type` stop and stop_limit need a `stop_price`: the order waits outside the book until a
    trade at that price or beyond elects it, and then takes as a market or limit order. 409 if the
    symbol has no instrument, or if its last trade has reached the stop price already.
    `display_quantity`: what rests of the order shows that much alone, and once that is filled the
    next so much, behind the others at its price. It is at least one share in 100 of the quantity.
    `self_trade_prevention`, 409 if the symbol has no instrument: where the order would trade with
    one of the same broker and `document_number`, the rest of this order (cancel_taker), of the one
    in the book (cancel_maker) or of both is closed. It also counts when the order is replaced or
    elected.
    """

    document_number: DocumentNumber
    side: Side
    symbol: NewSymbol
    quantity: Quantity
    order_type: OrderKind = "limit"
    price: PriceCents | None = None
    valid_until: Instant | None = None
    client_order_id: ClientOrderId | None = None
    time_in_force: TimeInForce | None = None
    post_only: bool = False
    minimum_quantity: Quantity | None = None
    stop_price: PriceCents | None = None
    display_quantity: Quantity | None = None
    self_trade_prevention: SelfTradePreventionChoice = "none"


class ReplaceRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /orders/{order_id}/replace`: at least one value; the others stay.

    `quantity` is that of the whole order, with its fills: a fill in the meantime cannot oversize
    it. At or below the filled quantity it closes the order. The order keeps its place in the book
    if its price stays and its quantity does not grow; otherwise it arrives anew, may trade, and
    rests behind the others at its price. `display_quantity`, of an iceberg order, holds from its
    next slice on; 0: it shows all. `stop_price` is of a stop order that waits: with another one,
    another price or a larger quantity it comes behind the others with its stop price.
    """

    quantity: Quantity | None = None
    price: PriceCents | None = None
    valid_until: Instant | None = None
    display_quantity: DisplayQuantity | None = None
    stop_price: PriceCents | None = None


class TradeResource(Struct, frozen=True):
    """One execution of the order. `counterparty_broker` is the other broker's id."""

    trade_id: str
    price: int
    quantity: int
    counterparty_broker: str
    executed_at: str


class OrderResource(Struct, frozen=True):
    """The current state of an order. `remaining_quantity` = `quantity` - `filled_quantity`.

    `average_price` is the mean price of the fills, rounded to the nearest cent. `trades` has the
    newest 100 of `trades_total`, oldest first; `GET /orders/{order_id}/trades` has all. A stop
    order is open while it waits; `triggered_at`: when a trade elected it. Only an iceberg order has
    a `display_quantity` (0: from its next slice on it shows all) and, while it is open, a
    `displayed_quantity`, which is its visible quantity.
    """

    order_id: str
    id: str
    client_order_id: str | None
    symbol: str
    side: Side
    order_type: OrderKind
    price: int | None
    quantity: int
    remaining_quantity: int
    filled_quantity: int
    average_price: int | None
    status: Literal["open", "closed"]
    closed_reason: ClosedReason | None
    valid_until: str | None
    created_at: str
    updated_at: str
    trades: list[TradeResource]
    trades_total: int
    time_in_force: TimeInForce = "gtc"
    post_only: bool = False
    minimum_quantity: int | None = None
    stop_price: int | None = None
    triggered_at: str | None = None
    display_quantity: int | None = None
    displayed_quantity: int | None = None
    self_trade_prevention: SelfTradePreventionChoice = "none"


class TradesResource(Struct, frozen=True):
    """Trades of an order, newest first; `next_cursor` asks for older ones, null: there are none."""

    trades: list[TradeResource]
    next_cursor: str | None


class PendingOrder(Struct, frozen=True):
    """An order that is stored but has no outcome yet. `GET /orders/{id}` returns the outcome."""

    order_id: str
    id: str
    client_order_id: str | None = None
    status: str = "pending"


class PriceResource(Struct, frozen=True):
    """`average_price` over the last `trades_in_average` trades; `sequence` of the last trade."""

    symbol: str
    last_price: int
    average_price: int
    trades_in_average: int
    sequence: int
    as_of: str


class CancelAllResult(Struct, frozen=True):
    """`POST /orders/cancel-all`: the orders that were cancelled, the ids of at most 1,000 of them.

    Of `pending_partitions` the outcome is missing: their command is stored, and orders there will
    be cancelled that are not counted.
    """

    cancelled_count: int
    cancelled: list[str]
    pending_partitions: list[int]


class CancelSessionsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /admin/sessions/cancel`."""

    gateway: GatewayName


class CancelSessionsResult(Struct, frozen=True):
    """Orders with cancel on disconnect that ended processes of a gateway left: of how many a cancel
    was sent now, and how many were open before. Repeat the call until none is open."""

    gateway: str
    sent: int
    open: int


class LevelResource(Struct, frozen=True):
    """All open orders at one price."""

    price: int
    total_quantity: int
    order_count: int


class BookResource(Struct, frozen=True):
    """The best `depth` levels of each side, best first; `sequence` as in `market.book.v1`.

    `checksum`: of the ten best levels of each side, whatever `depth`, as live feeds have it.
    """

    symbol: str
    depth: int
    bids: list[LevelResource]
    asks: list[LevelResource]
    sequence: int
    as_of: str
    checksum: int


class PositionResource(Struct, frozen=True):
    """Bought minus sold shares of one symbol."""

    symbol: str
    quantity: int


class BalanceResource(Struct, frozen=True):
    """`balance` = sales - purchases, in cents.

    `positions` by symbol; `next_cursor` asks for those that follow, null: there are none.
    """

    broker_id: str
    broker_name: str
    balance: int
    positions: list[PositionResource]
    next_cursor: str | None = None


class FieldFault(Struct, frozen=True):
    """One fault of the request; `pointer` is an RFC 6901 JSON pointer into the body.

    `code` names the rule of the symbol's instrument that an order breaks.
    """

    pointer: str
    detail: str
    code: str | UnsetType = UNSET


class Problem(Struct, frozen=True):
    """An error as in RFC 9457. `retryable`: the same request may be sent again and can succeed."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    request_id: str
    errors: list[FieldFault] | UnsetType = UNSET
    order: OrderResource | UnsetType = UNSET
