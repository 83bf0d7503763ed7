"""Messages of clients of the live feed `/ws`: objects with an `op` and an id of the client's own.

Unknown fields are refused. Prices are cents; `sequence` counts from 1 per symbol as in the public
topics.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from schemas.candles import Interval
from schemas.units import ClientOrderId, NewSymbol, Side

# A connection ends after so long without any message of the client, not even a pong.
SILENCE_S_MAX: Final = 60
# Trades of one symbol that a client can request when it subscribes.
LAST_TRADES_MAX: Final = 250

RequestId = int | Annotated[str, Meta(min_length=1, max_length=64)]
ChannelName = Literal["trades", "book", "ladder", "ticker", "candles", "orders", "operations"]
LadderDepth = Literal[10, 50]
WaitS = Annotated[int, Meta(ge=0, le=10)]
Sequence = Annotated[int, Meta(ge=0)]
Symbols = list[NewSymbol] | Literal["*"]


class Login(Struct, frozen=True, tag_field="op", tag="login", forbid_unknown_fields=True):
    """Show a broker's key. It allows orders, and subscriptions to more symbols.

    `cancel_on_disconnect`: when the connection ends in any way but after `logout`, cancel the open
    orders that were placed on it. `heartbeat_s`: end it after so long a silence of the client.
    """

    id: RequestId
    key: Annotated[str, Meta(max_length=200)]
    cancel_on_disconnect: bool = False
    heartbeat_s: Annotated[int, Meta(ge=5, le=SILENCE_S_MAX)] = SILENCE_S_MAX


class Logout(Struct, frozen=True, tag_field="op", tag="logout", forbid_unknown_fields=True):
    """Forget the key; subscriptions stay where they need none."""

    id: RequestId


class Subscribe(Struct, frozen=True, tag_field="op", tag="subscribe", forbid_unknown_fields=True):
    """Subscribe to a channel for these symbols; `"*"`: all symbols, for trades and tickers.

    `after`: by symbol the last trade that the client has; the later ones come first. `last`: so
    many of the newest trades come first. `depth`: levels of a ladder. `interval`: length of a
    candle; of trades and books the pace: `raw` sends the changes of each command at once, and needs
    a key. `orders` are the own events of the broker: without `symbols`, and `after` names the last
    event that the client has by partition. `operations` is the state of the pipeline, without
    `symbols`.
    """

    id: RequestId
    channel: ChannelName
    symbols: Symbols = []
    after: dict[str, Sequence] | None = None
    last: Annotated[int, Meta(ge=0, le=LAST_TRADES_MAX)] = 0
    depth: LadderDepth = 10
    interval: Interval | Literal["100ms", "raw"] | None = None


class Unsubscribe(
    Struct, frozen=True, tag_field="op", tag="unsubscribe", forbid_unknown_fields=True
):
    """End subscriptions; symbols without one are no error."""

    id: RequestId
    channel: ChannelName
    symbols: Symbols = []
    depth: LadderDepth = 10
    interval: Interval | Literal["100ms", "raw"] | None = None


class Resync(Struct, frozen=True, tag_field="op", tag="resync", forbid_unknown_fields=True):
    """Request a whole book again, for symbols with a subscription to `book`."""

    id: RequestId
    channel: Literal["book"]
    symbols: list[NewSymbol]


class ListSubscriptions(
    Struct, frozen=True, tag_field="op", tag="list", forbid_unknown_fields=True
):
    """Request the subscriptions of this connection."""

    id: RequestId


class Ping(Struct, frozen=True, tag_field="op", tag="ping", forbid_unknown_fields=True):
    """Request an answer, to measure the time it takes."""

    id: RequestId


class FeedPlace(Struct, frozen=True, tag_field="op", tag="place", forbid_unknown_fields=True):
    """Place an order; `order` is the body of `POST /orders`, with a `client_order_id`.

    Orders are written to the command log in the order of their messages. `wait_s`: longest wait
    for the outcome, as `Prefer: wait`. `respond` `stored`: answer as soon as the command log has
    the order, as `Prefer: respond-async`.
    """

    id: RequestId
    order: Raw
    wait_s: WaitS | None = None
    respond: Literal["outcome", "stored"] = "outcome"


class FeedCancel(Struct, frozen=True, tag_field="op", tag="cancel", forbid_unknown_fields=True):
    """Cancel an order by its id, or by its symbol and client order id.

    By the latter it is the order of this connection, also while its response is under way, else the
    newest one of the broker. Only one that is not in memory has to be looked up: its cancel may be
    written behind commands of later messages.
    """

    id: RequestId
    order_id: str | None = None
    symbol: NewSymbol | None = None
    client_order_id: ClientOrderId | None = None
    wait_s: WaitS | None = None


class FeedCancelAll(
    Struct, frozen=True, tag_field="op", tag="cancel_all", forbid_unknown_fields=True
):
    """Cancel all open orders of the broker, or those of a symbol, or of a side.

    Orders that were sent before it are cancelled, also those without a response; later ones stay.
    """

    id: RequestId
    symbol: NewSymbol | None = None
    side: Side | None = None


class FeedValidate(Struct, frozen=True, tag_field="op", tag="validate", forbid_unknown_fields=True):
    """Check an order, the body of `POST /orders`, without placing it."""

    id: RequestId
    order: Raw


class FeedReplace(Struct, frozen=True, tag_field="op", tag="replace", forbid_unknown_fields=True):
    """Replace values of an order, named as by `cancel`; `values` is the body of the call by HTTP.
    Refused (503) before the response to the order's own `place` has come."""

    id: RequestId
    values: Raw
    order_id: str | None = None
    symbol: NewSymbol | None = None
    client_order_id: ClientOrderId | None = None
    wait_s: WaitS | None = None


class FeedBatch(Struct, frozen=True, tag_field="op", tag="batch", forbid_unknown_fields=True):
    """Place, cancel and replace several orders; `items` as in `POST /orders/batch`.

    The response has a result for each item, in their order, once all are known.
    """

    id: RequestId
    items: Raw
    wait_s: WaitS | None = None
    respond: Literal["outcome", "stored"] = "outcome"


ClientMessage = (
    Login
    | Logout
    | Subscribe
    | Unsubscribe
    | Resync
    | ListSubscriptions
    | Ping
    | FeedPlace
    | FeedCancel
    | FeedCancelAll
    | FeedValidate
    | FeedReplace
    | FeedBatch
)
