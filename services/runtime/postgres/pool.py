"""PostgreSQL for request handlers: never blocks the event loop, bounds every wait, reconnects by
itself. Every failure is a PostgresUnavailableError; the pool's own messages are logged at a bounded
rate.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from services.runtime.logging_setup import RateLimit
from services.runtime.postgres.connection import PARAMETERS, checked_url, prepare

T = TypeVar("T")

# A broker waits for the answer; a look-up usually takes a millisecond.
ANSWER_TIMEOUT_S = 1.0
CONNECTIONS_MAX = 4
# After this time without success the pool reconnects on the next request instead of after its own
# growing pauses, so that a server that is back is used at once.
_RECONNECT_S = 2.0
_LINES_PER_MINUTE = 4
SESSION = {
    "statement_timeout": "1000",
    # The few queries of one answer see one state.
    "default_transaction_isolation": "repeatable read",
}


class PostgresUnavailableError(Exception):
    """There was no answer in time; the result is unknown."""


class PostgresPool:
    """`open` and `close` on the event loop that uses it. Each query is a transaction."""

    def __init__(self, database_url: str, *, read_only: bool) -> None:
        logger = logging.getLogger("psycopg.pool")
        if not logger.filters:
            logger.addFilter(RateLimit(_LINES_PER_MINUTE))
        self._session = SESSION | ({"default_transaction_read_only": "on"} if read_only else {})
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            checked_url(database_url),
            min_size=1,
            max_size=CONNECTIONS_MAX,
            open=False,
            timeout=ANSWER_TIMEOUT_S,
            reconnect_timeout=_RECONNECT_S,
            check=AsyncConnectionPool.check_connection,
            kwargs={**PARAMETERS, "connect_timeout": 2},
            configure=self._prepare,
        )
        self._running: set[asyncio.Task[Any]] = set()

    async def _prepare(self, connection: AsyncConnection) -> None:
        await connection.set_autocommit(True)
        await prepare(connection, self._session)
        await connection.set_autocommit(False)

    async def open(self) -> None:
        """Begin connecting, without waiting for success."""
        await self._pool.open()

    async def close(self) -> None:
        """Close the connections without waiting for an answer."""
        for task in self._running:
            task.cancel()
        await self._pool.close(timeout=ANSWER_TIMEOUT_S)

    async def ask(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run one query function. Raises PostgresUnavailableError."""
        # psycopg would wait seconds for a stuck server to confirm a cancellation, so a late query
        # is abandoned instead.
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
        # Retrieve the exception of an abandoned query; asyncio would report it as never retrieved.
        if not task.cancelled():
            task.exception()
