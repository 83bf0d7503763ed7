"""V2: matches in memory, writes behind every 30 ms, reads from PostgreSQL.

A 201 is in memory: a kill -9 loses what was not flushed. One process, since it owns the books.
"""

from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool

from benchmarks.designs.app import make_app
from benchmarks.designs.desk import Desk
from benchmarks.designs.market import Order
from benchmarks.designs.restart import load_open
from benchmarks.designs.stored import StoredReads
from benchmarks.designs.write_behind import WriteBehind


class ReadsStored(Desk, StoredReads):
    """The design."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        Desk.__init__(self)
        StoredReads.__init__(self, pool)
        self._behind = WriteBehind(self._market, pool, self._forget)

    async def open(self) -> None:
        """Open orders, and every client order id."""
        await load_open(self._market, self._pool)
        self._behind.start()

    async def close(self) -> None:
        """The last flush."""
        await self._behind.close()

    async def order(self, broker_id: str, order_id: str) -> bytes | None:
        """From the database, once it has what its broker was told: an order reads as written."""
        await self._behind.flushed(order_id)
        return await StoredReads.order(self, broker_id, order_id)

    def _forget(self, written: list[Order]) -> None:
        # A closed order changes no more, and the database answers for it. One that was closed
        # while it was being written is still to be written as such.
        for order in written:
            if order.closed_reason is not None and not self._behind.changed(order.order_id):
                self._market.orders.pop(order.order_id, None)


def app() -> FastAPI:
    """For uvicorn."""
    return make_app(ReadsStored)
