"""The blocking client: the asynchronous one in a thread with an event loop of its own."""

import asyncio
import threading
from collections.abc import Awaitable, Coroutine, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from exchange_client.async_client import DEADLINE_S, AsyncClient
from exchange_client.async_feed import AsyncFeed
from exchange_client.async_session import AsyncOrderSession
from exchange_client.calls import Call, Calls, OrderMethods
from exchange_client.channels import Channels
from exchange_client.events import Event
from exchange_client.session_state import SessionResponse

T = TypeVar("T")


class _LoopThread:
    """An event loop in a daemon thread, started with its first task."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start work; tasks begin in the order of these calls."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of work. An interrupt of the waiting thread ends the work too."""
        future = self.begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            if self._loop is not None and self._thread is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
                self._loop = self._thread = None


class Client(Calls[Any]):
    """A client of one exchange with a broker's key; without one, for public data.

    `deadline_s`: longest time of a call with all its retries. Threads may share a client. Use it as
    `with`, or end it with `close`.
    """

    def __init__(self, url: str, key: str | None = None, deadline_s: float = DEADLINE_S) -> None:
        self._thread = _LoopThread()
        self._client = AsyncClient(url, key, deadline_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._thread.result(self._client.close())
        self._thread.close()

    def run(self, call: Call) -> Any:
        """Carry out a call by HTTP. Raises ClientError."""
        return self._thread.result(self._client.run(call))

    def feed(self, channels: Channels) -> "Feed":
        """A feed of these channels, to use as `with`, then `for`."""

        async def feed() -> AsyncFeed:
            return self._client.feed(channels)

        return Feed(self._thread, self._thread.result(feed()))

    def book(self, *symbols: str) -> "Feed":
        """A feed of whole order books."""
        return self.feed(Channels(books=symbols))

    def trades(self, *symbols: str, after: Mapping[str, int] | None = None) -> "Feed":
        """A feed of trades, behind the last ones that the program has."""
        return self.feed(Channels(trades=symbols, after=after))

    def own_events(self, after: Mapping[str, int] | None = None) -> "Feed":
        """A feed of the broker's own events, behind the last ones that the program has."""
        return self.feed(Channels(own_events=True, own_after=after))

    def order_session(self, *, cancel_on_disconnect: bool = False) -> "OrderSession":
        """A session for orders, to use as `with`."""

        async def session() -> AsyncOrderSession:
            return self._client.order_session(cancel_on_disconnect=cancel_on_disconnect)

        return OrderSession(self._thread, self._thread.result(session()))


class Feed:
    """The events of some channels, over every loss of the connection."""

    def __init__(self, thread: _LoopThread, feed: AsyncFeed) -> None:
        self._thread = thread
        self._feed = feed

    def __enter__(self) -> Self:
        self._thread.result(self._feed.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.result(self._feed.__aexit__(kind, error, trace))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """The next event. Raises ClientError where the feed cannot go on."""
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None if none comes within the time, or the feed is closed."""
        return self._thread.result(self._next(timeout_s))

    async def _next(self, timeout_s: float | None) -> Event | None:
        try:
            async with asyncio.timeout(timeout_s):
                return await anext(self._feed)
        except (TimeoutError, StopAsyncIteration):
            return None


class OrderSession(OrderMethods[Any]):
    """Orders over one WebSocket. `soon` has the same methods and returns futures: requests are sent
    one after the other, without waiting for answers."""

    def __init__(self, thread: _LoopThread, session: AsyncOrderSession) -> None:
        self._thread = thread
        self._session = session
        self.soon = _Soon(thread, session)

    def __enter__(self) -> Self:
        self._thread.result(self._session.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, *, keep_orders: bool = False) -> None:
        """End the session. `keep_orders`: no cancel on disconnect."""
        self._thread.result(self._session.close(keep_orders=keep_orders))

    def run(self, call: Call) -> Any:
        """Carry out an order or a cancel. Raises ClientError."""
        return self.soon.run(call).result()

    def ask(self, call: Call) -> SessionResponse:
        """The response to an order or a cancel, with its status. Raises ClientError."""
        return self._thread.result(self._session.ask(call))

    def cancel_named(self, symbol: str, client_order_id: str) -> Any:
        """Cancel an order of the broker by its client order id."""
        return self.soon.cancel_named(symbol, client_order_id).result()


class _Soon(OrderMethods["Future[Any]"]):
    """The requests of a session as futures."""

    def __init__(self, thread: _LoopThread, session: AsyncOrderSession) -> None:
        self._thread = thread
        self._session = session

    def run(self, call: Call) -> "Future[Any]":
        """Send an order or a cancel."""
        return self._thread.begin(self._session.run(call))

    def cancel_named(self, symbol: str, client_order_id: str) -> "Future[Any]":
        """Cancel an order of the broker by its client order id, also before its answer."""
        return self._thread.begin(_await(self._session.cancel_named(symbol, client_order_id)))


async def _await(work: Awaitable[T]) -> T:
    return await work
