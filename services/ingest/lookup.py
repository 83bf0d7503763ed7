"""Looks orders up in a reader that runs as another process, over HTTP.

In the gateway the reader's own method is used instead.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from schemas.market_controls import MarketState
from schemas.orders import OrderRecord
from schemas.queries import OrdersResource
from schemas.rest import OrderResource
from services.api.app import Request

Lookup = Callable[[str, Request], Awaitable[OrderResource | None]]
# Id of the caller's newest order of a symbol with this client order id; None: there is none.
NamedLookup = Callable[[str, str, Request], Awaitable[str | None]]
# The order with this id, of any broker, if this process has it in memory.
AtHand = Callable[[str], OrderRecord | None]
# The market of this symbol, if this process has it in memory.
MarketAtHand = Callable[[str], MarketState | None]

# The reader answers at once, or waits briefly for a new order.
_TIMEOUT = aiohttp.ClientTimeout(total=3.0)
_OK = 200
_NOT_FOUND = 404

_order = msgspec.json.Decoder(OrderResource)
_orders = msgspec.json.Decoder(OrdersResource)

T = TypeVar("T")


class LookupUnavailableError(Exception):
    """It is unknown now whether there is such an order, or its state is."""


def none_at_hand(_: str) -> OrderRecord | None:
    """The orders in memory of a process without a reader."""
    return None


def no_market_at_hand(_: str) -> MarketState | None:
    """The markets in memory of a process without a reader."""
    return None


async def no_lookup(_: str, __: Request) -> OrderResource | None:
    """The look-up without a reader: the state of every order is unknown."""
    raise LookupUnavailableError("EXCHANGE_READER_URL is not set")


async def no_named_lookup(_: str, __: str, ___: Request) -> str | None:
    """The look-up by client order id without a reader: which orders there are is unknown."""
    raise LookupUnavailableError("EXCHANGE_READER_URL is not set")


class OrderViews(Struct, frozen=True):
    """Orders and markets as the reader knows them: by queries, and those in this process."""

    lookup: Lookup = no_lookup
    named: NamedLookup = no_named_lookup
    at_hand: AtHand = none_at_hand
    market_at_hand: MarketAtHand = no_market_at_hand


class RemoteLookup:
    """Queries a reader over HTTP with the caller's own key. An async context manager."""

    def __init__(self, reader_url: str) -> None:
        self._base = reader_url.rstrip("/")
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def __aenter__(self) -> "RemoteLookup":
        return self

    async def __aexit__(
        self,
        _: type[BaseException] | None,
        __: BaseException | None,
        ___: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def lookup(self, order_id: str, request: Request) -> OrderResource | None:
        """Look an order up. `order_id` must have the form of an id: it becomes part of a URL."""
        return await self._get(f"/orders/{order_id}", {}, request, _order)

    async def named(self, symbol: str, client_order_id: str, request: Request) -> str | None:
        """Look the id of the caller's newest order of a symbol with this client order id up."""
        query = {"symbol": symbol, "client_order_id": client_order_id, "limit": "1"}
        found = await self._get("/orders", query, request, _orders)
        return found.orders[0].order_id if found is not None and found.orders else None

    async def _get(
        self, path: str, query: dict[str, str], request: Request, decoder: msgspec.json.Decoder[T]
    ) -> T | None:
        """The answer of the reader; None for 404."""
        headers = {"Authorization": request.authorization, "X-Request-Id": request.request_id}
        try:
            async with self._session.get(
                f"{self._base}{path}", params=query, headers=headers
            ) as answer:
                body = await answer.read()
                if answer.status == _OK:
                    return decoder.decode(body)
                if answer.status == _NOT_FOUND:
                    return None
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            raise LookupUnavailableError(str(error)) from error
        raise LookupUnavailableError(f"the reader answers {answer.status}")
