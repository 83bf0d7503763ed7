"""The asynchronous client: calls by HTTP, feeds and order sessions by WebSocket."""

import asyncio
from collections.abc import Awaitable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from exchange_client.async_feed import AsyncFeed
from exchange_client.async_session import AsyncOrderSession
from exchange_client.calls import Call, Calls
from exchange_client.channels import Channels
from exchange_client.http_calls import HttpCalls

DEADLINE_S: Final = 10.0
# Below the time after which the exchange closes idle connections.
_IDLE_S_MAX: Final = 3.0


class AsyncClient(Calls[Awaitable[Any]]):
    """A client of one exchange with a broker's key; without one, for public data.

    `deadline_s`: longest time of a call with all its retries. Use it as `async with`.
    """

    def __init__(self, url: str, key: str | None = None, deadline_s: float = DEADLINE_S) -> None:
        self._url = url
        self._key = key
        self._deadline_s = deadline_s
        self._opened: tuple[ClientSession, HttpCalls] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections of calls by HTTP."""
        if self._opened is not None:
            opened, self._opened = self._opened[0], None
            await opened.close()

    async def run(self, call: Call) -> Any:
        """Carry out a call by HTTP. Raises ClientError."""
        return await self._http()[1].run(call)

    def feed(self, channels: Channels) -> AsyncFeed:
        """A feed of these channels, to use as `async with`, then `async for`."""
        http, calls = self._http()
        return AsyncFeed(self._url, self._key, channels, http, calls)

    def book(self, *symbols: str) -> AsyncFeed:
        """A feed of whole order books."""
        return self.feed(Channels(books=symbols))

    def trades(self, *symbols: str, after: Mapping[str, int] | None = None) -> AsyncFeed:
        """A feed of trades, behind the last ones that the program has."""
        return self.feed(Channels(trades=symbols, after=after))

    def own_events(self, after: Mapping[str, int] | None = None) -> AsyncFeed:
        """A feed of the broker's own events, behind the last ones that the program has."""
        return self.feed(Channels(own_events=True, own_after=after))

    def order_session(self, *, cancel_on_disconnect: bool = False) -> AsyncOrderSession:
        """A session for orders, to use as `async with`."""
        http, _ = self._http()
        if self._key is None:
            raise ValueError("orders need a broker's key")
        return AsyncOrderSession(
            self._url, self._key, http, self._deadline_s, cancel_on_disconnect=cancel_on_disconnect
        )

    def _http(self) -> tuple[ClientSession, HttpCalls]:
        """Made in the loop that uses it."""
        if self._opened is None:
            asyncio.get_running_loop()
            # No proxy of the environment: the exchange is often on this machine.
            http = ClientSession(
                connector=TCPConnector(keepalive_timeout=_IDLE_S_MAX),
                timeout=ClientTimeout(total=None),
                trust_env=False,
            )
            self._opened = http, HttpCalls(self._url, self._key, http, self._deadline_s)
        return self._opened
