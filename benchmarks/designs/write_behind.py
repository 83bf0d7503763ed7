"""Writes a market's changes to PostgreSQL every 30 ms: one transaction, three statements.

A kill -9 loses everything answered since the last flush. This is a property of the design.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct
from psycopg import OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from benchmarks.designs.market import Changes, DesignMarket, DesignOrder
from services.runtime.clock import now_ms

log = logging.getLogger(__name__)

# Bounds what a kill -9 can lose; shorter intervals cost more transactions.
FLUSH_INTERVAL_S = 0.03
# Interval of retries while the database is unavailable; no change is dropped meanwhile.
RETRY_S = 0.5

_ORDERS = """
    INSERT INTO orders SELECT * FROM json_populate_recordset(NULL::orders, %s::json)
    ON CONFLICT (order_id) DO UPDATE SET
        remaining_quantity = excluded.remaining_quantity,
        filled_value = excluded.filled_value,
        updated_at = excluded.updated_at,
        closed_reason = excluded.closed_reason
"""
_TRADES = """
    WITH made AS (
        INSERT INTO trades SELECT * FROM json_populate_recordset(NULL::trades, %s::json)
        ON CONFLICT DO NOTHING RETURNING trades
    )
    SELECT add_positions(array_agg(trades)) FROM made
"""
_SYMBOLS = """
    INSERT INTO symbols SELECT * FROM json_populate_recordset(NULL::symbols, %s::json)
    ON CONFLICT (symbol) DO UPDATE SET
        book_sequence = excluded.book_sequence, trade_sequence = excluded.trade_sequence
"""


class WriteBatch(Struct, frozen=True):
    """One state of the market, encoded once, so that a retried flush writes the same data."""

    changed: list[DesignOrder]
    orders: str
    trades: str
    symbols: str

    @classmethod
    def of(cls, changes: Changes) -> "WriteBatch":
        """Rows as JSON, which PostgreSQL unpacks."""
        changed = list(changes.orders.values())
        symbols = [
            SymbolRow(book.symbol, book.sequence, book.trade_sequence)
            for book in changes.books.values()
        ]
        return cls(changed, _json(changed), _json(changes.trades), _json(symbols))


class SymbolRow(Struct, frozen=True):
    """A row of the table of symbols."""

    symbol: str
    book_sequence: int
    trade_sequence: int


class WriteBehind:
    """Flushes periodically. `written` is called with the orders just written, in current state."""

    def __init__(
        self,
        market: DesignMarket,
        pool: AsyncConnectionPool,
        written: Callable[[list[DesignOrder]], None] = lambda _: None,
    ) -> None:
        self._market = market
        self._pool = pool
        self._written = written
        self._running: asyncio.Task[None] | None = None
        self._in_flight: WriteBatch | None = None
        self._next: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Start flushing."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Flush one last time. Raises OperationalError when the database is unavailable."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        while self._in_flight is not None or self._market.changes.orders:
            await self._flush()

    def changed(self, order_id: str) -> bool:
        """True if the order has changed since its last write, or was never written."""
        return order_id in self._market.changes.orders

    def pending(self, order_id: str) -> bool:
        """True if the database may not contain the order's current state."""
        if self.changed(order_id):
            return True
        batch = self._in_flight
        return batch is not None and any(order.order_id == order_id for order in batch.changed)

    async def flushed(self, order_id: str) -> None:
        """Wait until the order's current state is in the database."""
        # The running flush may have begun before the change; the flush after it includes the
        # change.
        for _ in range(2):
            if not self.pending(order_id):
                return
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._next)

    async def _run(self) -> None:
        while True:
            begun_s = time.monotonic()
            self._market.expire(now_ms())
            try:
                await self._flush()
            except (OperationalError, PoolTimeout) as error:
                log.error("not written, trying again: %s", error)
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(max(0.0, begun_s + FLUSH_INTERVAL_S - time.monotonic()))

    async def _flush(self) -> None:
        if self._in_flight is None and self._market.changes.orders:
            self._in_flight = WriteBatch.of(self._market.take_changes())
        if self._in_flight is not None:
            await self._write(self._in_flight)
            self._written(self._in_flight.changed)
            self._in_flight = None
        if self._next is not None:
            self._next.set_result(None)
            self._next = None

    async def _write(self, batch: WriteBatch) -> None:
        async with (
            self._pool.connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            await connection.execute(_ORDERS, [batch.orders])
            if batch.trades != _NOTHING:
                await connection.execute(_TRADES, [batch.trades])
            if batch.symbols != _NOTHING:
                await connection.execute(_SYMBOLS, [batch.symbols])


_NOTHING = "[]"


def _json(rows: Sequence[Struct]) -> str:
    return msgspec.json.encode(rows).decode()
