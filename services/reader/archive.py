"""The reader's SQL: closed orders that have left memory, and the position of PostgreSQL.

Every failure is an ArchiveUnavailableError.
"""

from collections.abc import Awaitable, Callable
from typing import LiteralString, TypeVar

from msgspec import structs
from psycopg import AsyncConnection

from schemas.orders import TRADES_SHOWN_MAX, OrderRecord, OrderTrade
from services.reader.errors import ArchiveUnavailableError
from services.runtime.kafka.topic_identity import LogIdentity
from services.runtime.postgres.pool import PostgresPool, PostgresUnavailableError

T = TypeVar("T")

# The columns of an OrderRecord without trades. Times in exact milliseconds: extract is numeric.
SELECT_ORDERS: LiteralString = """
    SELECT id::text, broker_id::text, document_number, symbol, side, order_type, quantity,
        remaining_quantity, filled_value::bigint, (extract(epoch FROM created_at) * 1000)::bigint,
        (extract(epoch FROM updated_at) * 1000)::bigint, price,
        (extract(epoch FROM valid_until) * 1000)::bigint, client_order_id, closed_reason,
        time_in_force, post_only, minimum_quantity, stop_price,
        (extract(epoch FROM triggered_at) * 1000)::bigint, display_quantity, displayed_quantity,
        self_trade_prevention, coalesce(trades_count,
            (SELECT count(*) FROM trades WHERE buy_order_id = orders.id)
            + (SELECT count(*) FROM trades WHERE sell_order_id = orders.id))
    FROM orders
"""
_ORDER = SELECT_ORDERS + " WHERE id = %s"
# Newest first. An order has trades on one side only; each side's limit lets its index end early.
_TRADES: LiteralString = """
    SELECT id::text, price, quantity, counterparty::text,
        (extract(epoch FROM executed_at) * 1000)::bigint
    FROM (
        (SELECT *, sell_broker_id AS counterparty FROM trades
         WHERE buy_order_id = %(order_id)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s)
        UNION ALL
        (SELECT *, buy_broker_id AS counterparty FROM trades
         WHERE sell_order_id = %(order_id)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s)
    ) AS sides ORDER BY id DESC LIMIT %(limit)s
"""
# Above every id.
_NEWEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_POSITIONS = """
    SELECT partition, next_command FROM log_positions
    WHERE EXISTS (
        SELECT FROM log_identity WHERE (cluster_id, topic, topic_id) = (%s, %s, %s)
    )
"""


class Archive:
    """Closed orders in PostgreSQL. `open` and `close` on the event loop that uses it."""

    def __init__(self, database_url: str, identity: LogIdentity) -> None:
        self.identity = identity
        self._pool = PostgresPool(database_url, read_only=True)

    async def open(self) -> None:
        """Begin connecting, without waiting for success."""
        await self._pool.open()

    async def close(self) -> None:
        """Close the connections without waiting for an answer."""
        await self._pool.close()

    async def order(self, order_id: str) -> OrderRecord | None:
        """The order with its newest trades, those that an answer shows. Raises
        ArchiveUnavailableError."""

        async def question(connection: AsyncConnection) -> OrderRecord | None:
            found = await connection.execute(_ORDER, [order_id])
            row = await found.fetchone()
            if row is None:
                return None
            trades = await _trades(connection, order_id, _NEWEST, TRADES_SHOWN_MAX)
            fields = [*row, trades[::-1]]
            return OrderRecord(*fields)

        return await self.ask(question)

    async def trades(self, order_id: str, before: str | None, limit: int) -> list[OrderTrade]:
        """An order's trades, newest first; `before`: only those older than this trade. Raises
        ArchiveUnavailableError."""
        return await self.ask(
            lambda connection: _trades(connection, order_id, before or _NEWEST, limit)
        )

    async def positions(self) -> dict[int, int]:
        """The first command that is not stored, by partition. Raises ArchiveUnavailableError.

        Empty for a database that was filled from another log.
        """

        return await self.ask(lambda connection: read_positions(connection, self.identity))

    async def ask(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run one query function. Raises ArchiveUnavailableError."""
        try:
            return await self._pool.ask(question)
        except PostgresUnavailableError as error:
            raise ArchiveUnavailableError(str(error)) from error


async def read_positions(connection: AsyncConnection, identity: LogIdentity) -> dict[int, int]:
    """The first command that is not stored, by partition; empty in a database of another log."""
    rows = await connection.execute(_POSITIONS, structs.astuple(identity))
    return {partition: command async for partition, command in rows}


async def _trades(
    connection: AsyncConnection, order_id: str, before: str, limit: int
) -> list[OrderTrade]:
    asked = {"order_id": order_id, "before": before, "limit": limit}
    found = await connection.execute(_TRADES, asked)
    return [OrderTrade(*row) for row in await found.fetchall()]
