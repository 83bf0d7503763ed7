"""Events of a feed. Prices are cents, times milliseconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Level(NamedTuple):
    """All open orders at one price."""

    price: int
    quantity: int
    orders: int


@dataclass(frozen=True)
class Book:
    """A whole order book whose checksum is that of the exchange; levels best first."""

    symbol: str
    sequence: int
    time: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


@dataclass(frozen=True)
class BookUnknown:
    """The order book of a symbol is not known until its next Book."""

    symbol: str


@dataclass(frozen=True)
class Trade:
    """A public trade. `sequence` counts the trades of the symbol without a gap."""

    symbol: str
    sequence: int
    trade_id: str
    time: int
    price: int
    quantity: int
    aggressor_side: str


@dataclass(frozen=True)
class TradesMissing:
    """The feed left out trades after `after`; they are fetched and follow in their order."""

    symbol: str
    after: int


@dataclass(frozen=True)
class Ladder:
    """The best `depth` levels of each side, best first."""

    symbol: str
    depth: int
    sequence: int
    time: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


@dataclass(frozen=True)
class Ticker:
    """The ticker of a symbol; `fields` as the exchange sends them."""

    symbol: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Candle:
    """A running candle, or one that has ended (`closed`); `fields` as the exchange sends them."""

    symbol: str
    interval: str
    closed: bool
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class OwnEvent:
    """An event of the broker's own orders. `kind`: order, order_refused or order_repeated.

    `sequence` counts the broker's events of the partition without a gap; `fields` are those of the
    message, such as `cause`, `order` and `trades`.
    """

    kind: str
    partition: int
    sequence: int
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class OwnOrders:
    """All open own orders, at first and where events could not be resumed. Those after it follow.

    Look up with `order(...)` what was believed to be open and is not here, and fetch the fills
    since the last known one.
    """

    orders: tuple[Mapping[str, Any], ...]
    sequences: Mapping[str, int]


@dataclass(frozen=True)
class Connected:
    """The feed is connected. `log`: identity of the command log.

    `is_new`: the log differs from the former one, so sequences start again.
    """

    log: str
    is_new: bool


@dataclass(frozen=True)
class Disconnected:
    """The connection is lost and made again; books, tickers and candles are old until then."""

    reason: str


Event = (
    Book
    | BookUnknown
    | Trade
    | TradesMissing
    | Ladder
    | Ticker
    | Candle
    | OwnEvent
    | OwnOrders
    | Connected
    | Disconnected
)
