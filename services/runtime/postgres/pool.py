"""PostgreSQL for who answers requests: never holds the event loop, never waits longer than a bound,
connects again by itself. Whatever goes wrong is a PostgresAwayError; the pool's complaints are
logged at a bounded rate.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from services.runtime.logging_setup import RateLimit

T = TypeVar("T")

# A broker waits for the answer; one look-up takes a millisecond.
ANSWER_TIMEOUT_S = 1.0
CONNECTIONS_MAX = 4
# After so long without success the pool tries again when somebody asks, not by its own growing
# pauses, so that a server that is back is found at once.
_RECONNECT_S = 2.0
_LINES_PER_MINUTE = 4
_OPTIONS = (
    "-c timezone=UTC -c statement_timeout=1000 -c default_transaction_isolation=repeatable\\ read"
)


class PostgresUnavailableError(Exception):
    """There was no answer in time, so nothing is known of what it would have been."""


class PostgresPool:
    """`open` and `close` on the event loop that uses it. Each question is a transaction."""

    def __init__(self, database_url: str, *, read_only: bool) -> None:
        logger = logging.getLogger("psycopg.pool")
        if not logger.filters:
            logger.addFilter(RateLimit(_LINES_PER_MINUTE))
        options = f"{_OPTIONS} -c default_transaction_read_only={'on' if read_only else 'off'}"
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            database_url,
            min_size=1,
            max_size=CONNECTIONS_MAX,
            open=False,
            timeout=ANSWER_TIMEOUT_S,
            reconnect_timeout=_RECONNECT_S,
            check=AsyncConnectionPool.check_connection,
            kwargs={"connect_timeout": 2, "options": options},
        )
        self._running: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Begin connecting; does not wait for success."""
        await self._pool.open()

    async def close(self) -> None:
        """Give the connections back, waiting for no answer."""
        for task in self._running:
            task.cancel()
        await self._pool.close(timeout=ANSWER_TIMEOUT_S)

    async def ask(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What it answers. Raises PostgresAwayError."""
        # psycopg itself would wait seconds for a stuck server to confirm that it gives up, so a
        # late question is left behind instead of awaited.
        task = asyncio.create_task(self._asked(question))
        self._running.add(task)
        task.add_done_callback(self._finished)
        await asyncio.wait([task], timeout=ANSWER_TIMEOUT_S)
        if not task.done():
            task.cancel()
            raise PostgresUnavailableError("PostgreSQL did not answer in time")
        try:
            return task.result()
        except (psycopg.Error, OSError) as error:
            raise PostgresUnavailableError(str(error)) from error

    async def _asked(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._pool.connection() as connection:
            return await question(connection)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        # Asked for, so that asyncio does not report an error that nobody waits for any more.
        if not task.cancelled():
            task.exception()
