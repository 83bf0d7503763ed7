"""A feed as an asynchronous iterator of events."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import ClientSession

from exchange_client.calls import Call
from exchange_client.channels import Channels
from exchange_client.connection import FeedLink
from exchange_client.errors import ClientError, UnavailableError
from exchange_client.events import Event, Trade
from exchange_client.feed_state import FeedState, Fetch
from exchange_client.http_calls import HttpCalls
from exchange_client.inbox import Inbox

PAGE: Final = "500"
# Pause between attempts to fetch missing records. Each attempt also retries its own requests.
_FETCH_PAUSE_S: Final = 0.5


class AsyncFeed:
    """The events of some channels, over every loss of the connection."""

    def __init__(
        self,
        url: str,
        key: str | None,
        channels: Channels,
        http: ClientSession,
        calls: HttpCalls,
    ) -> None:
        self._inbox = Inbox()
        self._state = FeedState(channels, key, self._inbox)
        self._link = FeedLink(url, http, self._state)
        self._calls = calls
        self._fetching: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        self._link.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closed = True
        for task in self._fetching:
            task.cancel()
        await asyncio.gather(*self._fetching, return_exceptions=True)
        await self._link.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. Raises ClientError where the feed cannot go on."""
        while True:
            self._link.changed.clear()
            self._start_fetches()
            if (event := self._inbox.take()) is not None:
                return event
            if self._state.error is not None:
                raise self._state.error
            if self._is_closed:
                raise StopAsyncIteration
            await self._link.changed.wait()

    def _start_fetches(self) -> None:
        while self._state.fetches:
            task = asyncio.create_task(self._fetch(self._state.fetches.popleft()))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)

    async def _fetch(self, fetch: Fetch) -> None:
        try:
            await self._fetch_missing(*fetch)
        except ClientError as error:
            self._state.error = error
        self._link.changed.set()

    async def _fetch_missing(self, symbol: str | None, after: int) -> None:
        if symbol is None:
            self._state.fetched_newest(await self._persist(self._newest_trades))
        else:
            call = Call(
                "GET", f"/stocks/{symbol}/trades", query={"after": str(after), "limit": PAGE}
            )
            answer = await self._persist(lambda: self._calls.run(call))
            trades = [_trade(symbol, each) for each in answer["trades"]]
            if not trades:
                # This answer is of a gateway that is behind the feed's.
                await asyncio.sleep(_FETCH_PAUSE_S)
            self._state.fetched_trades(symbol, trades)

    async def _persist(self, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of a call, however long the exchange is away."""
        while True:
            try:
                return await attempt()
            except UnavailableError:
                await asyncio.sleep(_FETCH_PAUSE_S)

    async def _newest_trades(self) -> dict[str, int]:
        found: dict[str, int] = {}
        cursor: str | None = None
        while True:
            query = {"limit": PAGE} | ({} if cursor is None else {"cursor": cursor})
            page = await self._calls.run(Call("GET", "/stocks", query=query))
            found |= {each["symbol"]: each["trade_sequence"] for each in page["stocks"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found


def _trade(symbol: str, fields: dict[str, Any]) -> Trade:
    time = datetime.fromisoformat(fields["executed_at"])
    return Trade(
        symbol,
        fields["sequence"],
        fields["trade_id"],
        round(time.timestamp() * 1_000),
        fields["price"],
        fields["quantity"],
        fields["aggressor_side"],
    )
