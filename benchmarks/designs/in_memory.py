"""V3: everything in memory, written behind every 30 ms; the database is read only at the start.

A 201 means that the order is in memory: a kill -9 loses what was not flushed. Memory holds all
orders, including closed ones.
"""

import msgspec
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool

from benchmarks.designs.app import make_app
from benchmarks.designs.memory_orders import MemoryOrders
from benchmarks.designs.restart import load_all
from benchmarks.designs.write_behind import WriteBehind
from schemas.brokers import Broker
from schemas.rest import BalanceResource, BookResource, PriceResource
from schemas.units import rfc3339, rounded_average
from services.reader.book_checksum import CHECKSUM_LEVELS, checksum
from services.runtime.clock import now_ms

_encode = msgspec.json.Encoder().encode


class InMemory(MemoryOrders):
    """Design V3."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        super().__init__()
        self._pool = pool
        self._behind = WriteBehind(self._market, pool)

    async def open(self) -> None:
        """Load everything from the database."""
        await load_all(self._market, self._pool)
        self._behind.start()

    async def close(self) -> None:
        """Flush one last time."""
        await self._behind.close()

    async def order(self, broker_id: str, order_id: str) -> bytes | None:
        """An OrderResource; None when the broker has no order with this id."""
        self._market.expire(now_ms())
        order = self._market.orders.get(order_id)
        if order is None or order.broker_id != broker_id:
            return None
        return _encode(order.resource())

    async def price(self, symbol: str, trades: int) -> bytes | None:
        """A PriceResource; None before the first trade."""
        book = self._market.books.get(symbol)
        if book is None or not book.prices:
            return None
        newest = list(book.prices)[-trades:]
        return _encode(
            PriceResource(
                symbol,
                newest[-1],
                rounded_average(sum(newest), len(newest)),
                len(newest),
                book.trade_sequence,
                rfc3339(now_ms()),
            )
        )

    async def book(self, symbol: str, depth: int) -> bytes:
        """A BookResource."""
        moment = now_ms()
        self._market.expire(moment)
        book = self._market.books.get(symbol)
        if book is None:
            return _encode(
                BookResource(symbol, depth, [], [], 0, rfc3339(moment), checksum([], []))
            )
        sides = [side.resources(max(depth, CHECKSUM_LEVELS)) for side in (book.bids, book.asks)]
        bids, asks = (side[:depth] for side in sides)
        as_of, found = rfc3339(moment), checksum(*sides)
        return _encode(BookResource(symbol, depth, bids, asks, book.sequence, as_of, found))

    async def balance(self, broker: Broker) -> bytes:
        """A BalanceResource."""
        balances, broker_id = self._market.balances, broker.broker_id
        cash, positions = balances.cash(broker_id), balances.positions(broker_id)
        return _encode(BalanceResource(broker_id, broker.name, cash, positions))


def app() -> FastAPI:
    """The app for uvicorn."""
    return make_app(InMemory)
