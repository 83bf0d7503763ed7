"""The four reads, answered by PostgreSQL: the part that V1 and V2 share."""

from typing import Any

from psycopg_pool import AsyncConnectionPool

from schemas.brokers import Broker

Row = tuple[Any, ...]


class StoredReads:
    """Each answer is built inside the database (`reads.sql`) and only passed on."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def row(self, statement: str, *values: object) -> Row:
        """The single row of a statement that runs in a separate transaction."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchone() or ()

    async def order(self, broker_id: str, order_id: str) -> bytes | None:
        """An OrderResource; None when the broker has no order with this id."""
        return _bytes(await self.row("SELECT order_resource(%s, %s)", order_id, broker_id))

    async def price(self, symbol: str, trades: int) -> bytes | None:
        """A PriceResource; None before the first trade."""
        return _bytes(await self.row("SELECT price_resource(%s, %s)", symbol, trades))

    async def book(self, symbol: str, depth: int) -> bytes:
        """A BookResource."""
        return _bytes(await self.row("SELECT book_resource(%s, %s)", symbol, depth)) or b""

    async def balance(self, broker: Broker) -> bytes:
        """A BalanceResource."""
        row = await self.row("SELECT balance_resource(%s, %s)", broker.broker_id, broker.name)
        return _bytes(row) or b""


def _bytes(row: Row) -> bytes | None:
    text: str | None = row[0]
    return None if text is None else text.encode()
