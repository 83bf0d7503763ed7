"""V2: matches in memory, writes behind every 30 ms, reads from PostgreSQL.

A 201 means that the order is in memory: a kill -9 loses what was not flushed. Runs as one process,
since it owns the books.
"""

from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool

from benchmarks.designs.app import make_app
from benchmarks.designs.market import DesignOrder
from benchmarks.designs.memory_orders import MemoryOrders
from benchmarks.designs.restart import load_open
from benchmarks.designs.stored import StoredReads
from benchmarks.designs.write_behind import WriteBehind


class ReadsStored(MemoryOrders, StoredReads):
    """Design V2."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        MemoryOrders.__init__(self)
        StoredReads.__init__(self, pool)
        self._behind = WriteBehind(self._market, pool, self._forget)

    async def open(self) -> None:
        """Load open orders, and every client order id."""
        await load_open(self._market, self._pool)
        self._behind.start()

    async def close(self) -> None:
        """Flush one last time."""
        await self._behind.close()

    async def order(self, broker_id: str, order_id: str) -> bytes | None:
        """Read from the database, after a flush of the order, so that a broker reads its own
        writes."""
        await self._behind.flushed(order_id)
        return await StoredReads.order(self, broker_id, order_id)

    def _forget(self, written: list[DesignOrder]) -> None:
        # A closed order no longer changes, so the database can answer for it. An order that was
        # closed during its write is still pending and stays in memory.
        for order in written:
            if order.closed_reason is not None and not self._behind.changed(order.order_id):
                self._market.orders.pop(order.order_id, None)


def app() -> FastAPI:
    """The app for uvicorn."""
    return make_app(ReadsStored)
