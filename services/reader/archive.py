"""The reader's SQL: closed orders that have left memory, and how far PostgreSQL has come.

Never holds the event loop, never waits longer than a bound, connects again by itself. Whatever goes
wrong is an ArchiveUnavailableError; the pool's complaints are logged at a bounded rate.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, LiteralString, TypeVar

import psycopg
from msgspec import structs
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from schemas.orders import OrderRecord, OrderTrade
from services.reader.errors import ArchiveUnavailableError
from services.runtime.log import RateLimit
from services.runtime.log_identity import LogIdentity

T = TypeVar("T")

# A broker waits for the answer; one look-up takes a millisecond.
ANSWER_TIMEOUT_S = 1.0
CONNECTIONS_MAX = 4
# After so long without success the pool tries again when somebody asks, not by its own growing
# pauses, so that a server that is back is found at once.
_RECONNECT_S = 2.0
_LINES_PER_MINUTE = 4
# One consistent view for an order and its trades; nothing here may write.
_OPTIONS = (
    "-c timezone=UTC -c statement_timeout=1000 -c default_transaction_read_only=on"
    " -c default_transaction_isolation=repeatable\\ read"
)

# An OrderRecord without its trades. Exact milliseconds: extract gives a numeric.
SELECT_ORDERS: LiteralString = """
    SELECT id::text, broker_id::text, document_number, symbol, side, order_type, quantity,
        remaining_quantity, filled_value::bigint, (extract(epoch FROM created_at) * 1000)::bigint,
        (extract(epoch FROM updated_at) * 1000)::bigint, price,
        (extract(epoch FROM valid_until) * 1000)::bigint, client_order_id, closed_reason
    FROM orders
"""
_ORDER = SELECT_ORDERS + " WHERE id = %s"
_TRADES = """
    SELECT id::text, price, quantity, counterparty::text,
        (extract(epoch FROM executed_at) * 1000)::bigint
    FROM (
        SELECT *, sell_broker_id AS counterparty FROM trades WHERE buy_order_id = %(order_id)s
        UNION ALL
        SELECT *, buy_broker_id AS counterparty FROM trades WHERE sell_order_id = %(order_id)s
    ) AS sides ORDER BY command_offset, index
"""
_POSITIONS = """
    SELECT partition, next_command FROM log_positions
    WHERE EXISTS (
        SELECT FROM log_identity WHERE (cluster_id, topic, topic_id) = (%s, %s, %s)
    )
"""


class Archive:
    """PostgreSQL as the reader sees it. `open` and `close` on the event loop that uses it."""

    def __init__(self, database_url: str, identity: LogIdentity) -> None:
        self._identity = identity
        logger = logging.getLogger("psycopg.pool")
        if not logger.filters:
            logger.addFilter(RateLimit(_LINES_PER_MINUTE))
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            database_url,
            min_size=1,
            max_size=CONNECTIONS_MAX,
            open=False,
            timeout=ANSWER_TIMEOUT_S,
            reconnect_timeout=_RECONNECT_S,
            check=AsyncConnectionPool.check_connection,
            kwargs={"connect_timeout": 2, "options": _OPTIONS},
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

    async def order(self, order_id: str) -> OrderRecord | None:
        """The order with its trades in execution order. Raises ArchiveUnavailableError."""
        return await self._bounded(self._order(order_id))

    async def positions(self) -> dict[int, int]:
        """Per partition the first command that is not stored. Raises ArchiveUnavailableError.

        A database that was filled from another log has none of ours.
        """
        return await self._bounded(self._positions())

    async def _order(self, order_id: str) -> OrderRecord | None:
        async with self._pool.connection() as connection:
            found = await connection.execute(_ORDER, [order_id])
            row = await found.fetchone()
            if row is None:
                return None
            traded = await connection.execute(_TRADES, {"order_id": order_id})
            trades = [OrderTrade(*trade) for trade in await traded.fetchall()]
        fields = [*row, trades]
        return OrderRecord(*fields)

    async def _positions(self) -> dict[int, int]:
        async with self._pool.connection() as connection:
            rows = await connection.execute(_POSITIONS, structs.astuple(self._identity))
            return {partition: command async for partition, command in rows}

    async def _bounded(self, asking: Coroutine[Any, Any, T]) -> T:
        # psycopg itself would wait seconds for a stuck server to confirm that it gives up, so a
        # late question is left behind instead of awaited.
        task = asyncio.create_task(asking)
        self._running.add(task)
        task.add_done_callback(self._finished)
        await asyncio.wait([task], timeout=ANSWER_TIMEOUT_S)
        if not task.done():
            task.cancel()
            raise ArchiveUnavailableError("PostgreSQL did not answer in time")
        try:
            return task.result()
        except (psycopg.Error, OSError) as error:
            raise ArchiveUnavailableError(str(error)) from error

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        # Asked for, so that asyncio does not report an error that nobody waits for any more.
        if not task.cancelled():
            task.exception()
