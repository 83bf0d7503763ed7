"""Units and bounds of values in messages: cents, shares, milliseconds, names.

Prices are integer cents, quantities whole shares, instants whole milliseconds since the epoch, UTC.
Patterns end in `$(?!\\n)` because Python's `$` alone would let a trailing newline through.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

from msgspec import Meta

PRICE_CENTS_MAX = 1_000_000_000
QUANTITY_MAX = 1_000_000_000
# The last millisecond that RFC 3339's four-digit year can write.
TIMESTAMP_MS_MAX = 253_402_300_799_999
# How long the engine remembers a client order id, in log time.
CLIENT_ORDER_ID_WINDOW_MS = 3_600_000

UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$(?!\n)"
# The id of a call that a gateway makes up.
REQUEST_PATTERN = r"^[0-9a-f]{16}$(?!\n)"
# Without control characters: PostgreSQL cannot store NUL, and names need none.
PRINTABLE_PATTERN = r"^[^\u0000-\u001f\u007f]+$(?!\n)"

# The id of a call that a gateway makes up.
REQUEST_PATTERN = r"^[0-9a-f]{16}$(?!\n)"

PriceCents = Annotated[int, Meta(ge=1, le=PRICE_CENTS_MAX, description="Price in cents.")]
Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX, description="Quantity in shares.")]
DisplayQuantity = Annotated[
    int, Meta(ge=0, le=QUANTITY_MAX, description="Shares that the book shows; 0: all.")
]
TimestampMs = Annotated[
    int, Meta(ge=0, le=TIMESTAMP_MS_MAX, description="Milliseconds since the Unix epoch, UTC.")
]
OrderId = Annotated[
    str,
    Meta(
        pattern=UUID_PATTERN,
        description="UUIDv7, or UUIDv8 if its session cancels on disconnect; carries its "
        "partition.",
    ),
]
BrokerId = Annotated[str, Meta(pattern=UUID_PATTERN, description="UUID.")]
TradeId = Annotated[
    str, Meta(pattern=UUID_PATTERN, description="UUIDv8 made from the log position.")
]
GatewayName = Annotated[
    str,
    Meta(min_length=1, max_length=100, pattern=PRINTABLE_PATTERN, description="Name of a gateway."),
]
SYMBOL_PATTERN = r"^[A-Z0-9._-]{1,10}$(?!\n)"
Symbol = Annotated[str, Meta(pattern=SYMBOL_PATTERN, description="Ticker.")]
# Clients shorten a path that has a segment of one or two dots, so such a symbol has no price and no
# book. Command logs of earlier versions may contain them: the type above reads those.
NewSymbol = Annotated[
    str,
    Meta(
        # Without a lookahead, which the regular expressions of many JSON Schema tools lack.
        pattern=r"^([A-Z0-9_-][A-Z0-9._-]{0,9}|\.[A-Z0-9_-][A-Z0-9._-]{0,8}|\.\.[A-Z0-9._-]{1,8})$"
        r"(?!\n)",
        description="Ticker: 1 to 10 of these characters, but not one or two dots alone.",
    ),
]
CLIENT_ORDER_ID_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$(?!\n)"
ClientOrderId = Annotated[
    str, Meta(pattern=CLIENT_ORDER_ID_PATTERN, description="The broker's own id.")
]
DocumentNumber = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=20,
        pattern=PRINTABLE_PATTERN,
        description="The customer's document.",
    ),
]
BrokerName = Annotated[str, Meta(min_length=1, max_length=100, pattern=PRINTABLE_PATTERN)]
WebhookUrl = Annotated[
    str, Meta(min_length=1, max_length=2048, pattern=r"^https?://[^\s\u0000-\u001f]+$(?!\n)")
]

Side = Literal["bid", "ask"]
OrderType = Literal["limit", "market"]
# As brokers name them: a stop is a market order with a stop price, a stop-limit a limit order.
OrderKind = Literal["limit", "market", "stop", "stop_limit"]
TimeInForce = Literal["gtc", "day", "ioc", "fok"]
# What closes where an order would trade with one of the same broker and document: its own rest,
# that of the order in the book, or both.
SelfTradePrevention = Literal["cancel_taker", "cancel_maker", "cancel_both"]
# As brokers name it.
SelfTradePreventionChoice = Literal["none", "cancel_taker", "cancel_maker", "cancel_both"]
ClosedReason = Literal["filled", "cancelled", "expired", "no_liquidity", "self_trade", "price_band"]

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def buyer_and_seller(taker_side: Side, taker: T, maker: T) -> tuple[T, T]:
    """A trade's two parties, or one field of each, as buyer and seller."""
    return (taker, maker) if taker_side == "bid" else (maker, taker)


# Every order has two times, which are mostly those of other orders under load, or of their second.
@lru_cache(maxsize=1_024)
def rfc3339(timestamp_ms: int) -> str:
    """The instant as RFC 3339 in UTC, to the millisecond: `2026-11-23T13:00:00.250Z`."""
    second, ms = divmod(timestamp_ms, 1_000)
    return f"{_second_text(second)}.{ms:03}Z"


@lru_cache(maxsize=1_024)
def _second_text(timestamp_s: int) -> str:
    return (_EPOCH + timedelta(seconds=timestamp_s)).replace(tzinfo=None).isoformat()


def milliseconds(instant: datetime) -> int:
    """Whole milliseconds since the epoch of an aware instant, rounded up.

    Up, so that `clock < valid_until` keeps its meaning: a whole-millisecond clock is before an
    instant exactly when it is before the next whole millisecond.
    """
    # Floor division of the negated span: a float would lose the microseconds of far instants.
    return -((_EPOCH - instant) // _MILLISECOND)


def rounded_average(total: int, count: int) -> int:
    """The mean rounded to the nearest integer, halves up. Both arguments are positive."""
    return (2 * total + count) // (2 * count)
