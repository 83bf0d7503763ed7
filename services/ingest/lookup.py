"""Looks orders up in a reader that runs as another process, over HTTP.

In the gateway the reader's own method is used instead.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType

import aiohttp
import msgspec

from schemas.market_controls import MarketState
from schemas.orders import OrderRecord
from schemas.rest import OrderResource
from services.api.app import Request

Lookup = Callable[[str, Request], Awaitable[OrderResource | None]]
# The order with this id, of any broker, if this process has it in memory.
AtHand = Callable[[str], OrderRecord | None]
# The market of this symbol, if this process has it in memory.
MarketAtHand = Callable[[str], MarketState | None]

# The reader answers at once, or waits briefly for a new order.
_TIMEOUT = aiohttp.ClientTimeout(total=3.0)
_OK = 200
_NOT_FOUND = 404

_decoder = msgspec.json.Decoder(OrderResource)


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

    async def __call__(self, order_id: str, request: Request) -> OrderResource | None:
        """Look an order up. `order_id` must have the form of an id: it becomes part of a URL."""
        headers = {"Authorization": request.authorization, "X-Request-Id": request.request_id}
        try:
            async with self._session.get(
                f"{self._base}/orders/{order_id}", headers=headers
            ) as answer:
                body = await answer.read()
                if answer.status == _OK:
                    return _decoder.decode(body)
                if answer.status == _NOT_FOUND:
                    return None
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            raise LookupUnavailableError(str(error)) from error
        raise LookupUnavailableError(f"the reader answers {answer.status}")
