"""Client of the exchange for trading programs: calls, live feeds and order sessions.

`Client` blocks, `AsyncClient` is for asyncio; both have the same methods. Modules without
I/O (`*_state`, `attempts`, `sequences`, `inbox`) decide on messages, retries and recovery.
"""

from exchange_client.async_client import AsyncClient
from exchange_client.async_feed import AsyncFeed
from exchange_client.async_session import AsyncOrderSession
from exchange_client.channels import Channels
from exchange_client.client import Client, Feed, OrderSession
from exchange_client.errors import (
    ClientError,
    OutcomeUnknownError,
    QueueFullError,
    RefusedError,
    UnavailableError,
)
from exchange_client.events import (
    Book,
    BookUnknown,
    Candle,
    Connected,
    Disconnected,
    Event,
    Ladder,
    Level,
    OwnEvent,
    OwnOrders,
    Ticker,
    Trade,
    TradesMissing,
)

__all__ = [
    "AsyncClient",
    "AsyncFeed",
    "AsyncOrderSession",
    "Book",
    "BookUnknown",
    "Candle",
    "Channels",
    "Client",
    "ClientError",
    "Connected",
    "Disconnected",
    "Event",
    "Feed",
    "Ladder",
    "Level",
    "OrderSession",
    "OutcomeUnknownError",
    "OwnEvent",
    "OwnOrders",
    "QueueFullError",
    "RefusedError",
    "Ticker",
    "Trade",
    "TradesMissing",
    "UnavailableError",
]
