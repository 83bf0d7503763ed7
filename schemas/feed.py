"""Messages of the WebSocket feed `/ws`: JSON text frames with one object each, both ways.

A client sends objects with an `op`, the exchange objects with a `type`. Clients must ignore unknown
fields and types of the exchange; unknown fields of a client's message are refused. Instants are
milliseconds since the epoch, prices are cents, `sequence` counts from 1 per symbol as in the public
topics.
"""

from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from schemas.batch import BatchResult
from schemas.book import Level
from schemas.candles import Interval
from schemas.feed_requests import ChannelName, LadderDepth, RequestId, Symbols
from schemas.instruments import Phase
from schemas.operations import OperationsResource
from schemas.queries import OrderSummary, ValidOrder
from schemas.rest import CancelAllResult, OrderResource, PendingOrder, Problem, TradeResource
from schemas.units import Side

# Version of this protocol, in the first message of every connection.
FEED_VERSION: Final = 1


class Hello(Struct, frozen=True, tag_field="type", tag="hello"):
    """The first message. Another `log` than before: sequences start anew, forget all of them.

    `public`: market data needs no key. `page`: version of the web page that this gateway serves.
    """

    version: int
    log: str
    boot: str
    time: int
    public: bool
    partitions: int
    heartbeat_s: int
    page: str = ""


class Subscription(Struct, frozen=True, omit_defaults=True):
    """A channel and its symbols, as `list` returns it."""

    channel: ChannelName
    symbols: Symbols
    depth: LadderDepth | None = None
    interval: Interval | Literal["raw"] | None = None


class FeedReply(Struct, frozen=True, tag_field="type", tag="response", omit_defaults=True):
    """The only answer to an operation. `status` is an HTTP status; `problem` explains it from 400
    on; `order`, `pending`, `results`, `cancelled` and `valid` are the bodies that the calls by HTTP
    have.

    `session`, of a login: the connection's name in the logs of the gateway. `channel` and `symbols`
    repeat those of `subscribe` and `unsubscribe`. `resumed`, of own events:
    those that the client missed follow; false: a snapshot does.
    """

    id: RequestId
    status: int
    broker_id: str | UnsetType = UNSET
    broker_name: str | UnsetType = UNSET
    session: str | UnsetType = UNSET
    subscriptions: list[Subscription] | UnsetType = UNSET
    channel: ChannelName | UnsetType = UNSET
    symbols: Symbols | UnsetType = UNSET
    resumed: bool | UnsetType = UNSET
    order: OrderResource | UnsetType = UNSET
    results: list[BatchResult] | UnsetType = UNSET
    pending: PendingOrder | UnsetType = UNSET
    cancelled: CancelAllResult | UnsetType = UNSET
    valid: ValidOrder | UnsetType = UNSET
    problem: Problem | UnsetType = UNSET


class Fault(Struct, frozen=True, tag_field="type", tag="error"):
    """A message of the client had no usable id; the third one ends the connection."""

    code: str
    detail: str


class Heartbeat(Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """Sent every few seconds behind the changes before it, also in a quiet market.

    `position`: the next command of each partition, joined by dots.
    """

    time: int
    position: str
    ready: bool


class Closing(Struct, frozen=True, tag_field="type", tag="closing", omit_defaults=True):
    """The exchange closes this connection. `grace_ms`: the responses that it waits for come before
    that, within this time, and new orders are refused."""

    reason: str
    grace_ms: int | UnsetType = UNSET


class TradeMessage(Struct, frozen=True, tag_field="type", tag="trade", gc=False):
    """A trade: the fields of a record of the trades topic."""

    symbol: str
    sequence: int
    trade_id: str
    time: int
    price: int
    quantity: int
    aggressor_side: Side
    command_offset: int
    index: int


class Gap(Struct, frozen=True, tag_field="type", tag="gap"):
    """These trades are not available here: request them by REST. The feed continues behind them."""

    channel: Literal["trades"]
    symbol: str
    first: int
    last: int
    reason: Literal["too_old", "storage_away"]


class BookSnapshot(Struct, frozen=True, tag_field="type", tag="book_snapshot", gc=False):
    """A whole book, best first. It replaces the client's book.

    `checksum`: see `services.reader.book_checksum`; of the ten best levels of each side. `phase`:
    of the symbol's market.
    """

    symbol: str
    sequence: int
    time: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    checksum: int
    reason: Literal["subscribed", "resync", "conflated"]
    phase: Phase


class BookDelta(
    Struct, frozen=True, tag_field="type", tag="book_update", omit_defaults=True, gc=False
):
    """All levels that changed behind `previous`, with their totals at `sequence`; 0: gone.

    `phase`: only if it changed as well, or alone.
    """

    symbol: str
    previous: int
    sequence: int
    time: int
    checksum: int
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    phase: Phase | None = None


class Ladder(Struct, frozen=True, tag_field="type", tag="ladder", gc=False):
    """The best levels as a whole; sent again when one of them changed."""

    symbol: str
    depth: int
    sequence: int
    time: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class TickerMessage(Struct, frozen=True, tag_field="type", tag="ticker", gc=False):
    """Newest and best prices of a symbol, phase, and sums of the 24 hours before `as_of`.

    Sent again when a field other than `window_start` and `as_of` changed.
    """

    symbol: str
    last: int | None
    open: int | None
    high: int | None
    low: int | None
    volume: int
    value: int
    trades: int
    bid: int | None
    bid_quantity: int | None
    ask: int | None
    ask_quantity: int | None
    sequence: int
    phase: Phase
    window_start: int
    as_of: int


class TickersMessage(Struct, frozen=True, tag_field="type", tag="tickers"):
    """Tickers of a subscription to all symbols: at first all of them, later those that changed."""

    tickers: list[TickerMessage]


class CandleMessage(Struct, frozen=True, tag_field="type", tag="candle", gc=False):
    """The running candle, and once each candle that has ended, with `closed`.

    Before a symbol's first trade it has no prices, and sequences of 0.
    """

    symbol: str
    interval: Interval
    start: int
    open: int | None
    high: int | None
    low: int | None
    close: int | None
    volume: int
    value: int
    trades: int
    first_sequence: int
    last_sequence: int
    closed: bool


class OperationsMessage(Struct, frozen=True, tag_field="type", tag="operations"):
    """The state of the pipeline, as `GET /operations` has it; at first with the samples of ten
    minutes, then once a second with the newest one."""

    operations: OperationsResource


class OrderMessage(Struct, frozen=True, tag_field="type", tag="order", omit_defaults=True):
    """An own order after a command that changed it, with its trades by this command.

    `sequence` counts the broker's events on this partition, whatever their type.
    """

    partition: int
    sequence: int
    command_offset: int
    time: int
    cause: Literal["placed", "amended", "triggered", "traded", "cancelled", "expired", "prevented"]
    order: OrderSummary
    trades: list[TradeResource] = []


class OrderRefusedMessage(Struct, frozen=True, tag_field="type", tag="order_refused"):
    """A placing that was refused by the matcher. `original_order_id` has its client order id."""

    partition: int
    sequence: int
    command_offset: int
    time: int
    code: str
    order_id: str
    original_order_id: str | None


class OrderRepeatedMessage(Struct, frozen=True, tag_field="type", tag="order_repeated"):
    """A placing that repeated an earlier one: `original_order_id` is the order."""

    partition: int
    sequence: int
    command_offset: int
    time: int
    order_id: str
    original_order_id: str


class OrdersSnapshot(Struct, frozen=True, tag_field="type", tag="orders_snapshot"):
    """Open orders of the broker, in parts. Events beyond `sequences`, by partition, follow the last
    part; set the numbers that you have to these."""

    part: int
    parts: int
    sequences: dict[str, int]
    orders: list[OrderSummary]


ServerMessage = (
    Hello
    | FeedReply
    | Fault
    | Heartbeat
    | Closing
    | TradeMessage
    | Gap
    | BookSnapshot
    | BookDelta
    | Ladder
    | TickerMessage
    | TickersMessage
    | CandleMessage
    | OperationsMessage
    | OrderMessage
    | OrderRefusedMessage
    | OrderRepeatedMessage
    | OrdersSnapshot
)
