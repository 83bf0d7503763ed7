"""V1: a stateless API; an order is one call of a PostgreSQL function in one transaction.

A 201 means that the order is on disk. Any number of processes may serve the same database.
"""

import asyncio
import contextlib
import logging
import secrets

import msgspec
from fastapi import FastAPI
from psycopg import OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from benchmarks.designs.app import make_app
from benchmarks.designs.design import Cancelled, Placed
from benchmarks.designs.stored import StoredReads
from schemas import ids
from schemas.rest import OrderRequest
from schemas.units import milliseconds
from services.runtime.clock import now_ms

log = logging.getLogger(__name__)

# The sweep only keeps books small: expired orders neither trade nor appear in any case.
SWEEP_INTERVAL_S = 0.25
_PLACE = "SELECT * FROM place_order(json_populate_record(NULL::orders, %s::json))"
_CANCEL = "SELECT * FROM cancel_order(%s, %s)"


class InPostgres(StoredReads):
    """Design V1."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        super().__init__(pool)
        self._sweeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Load nothing: all state is in the database."""
        self._sweeping = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """Write nothing: all state is in the database."""
        if self._sweeping is not None:
            self._sweeping.cancel()

    async def place(self, broker_id: str, wanted: OrderRequest) -> Placed:
        """Match the order."""
        order = msgspec.structs.asdict(wanted)
        order["order_id"] = ids.order_id(now_ms(), 0, secrets.randbits(62))
        order["broker_id"] = broker_id
        if wanted.valid_until is not None:
            order["valid_until"] = milliseconds(wanted.valid_until)
        verdict, resource = await self.row(_PLACE, msgspec.json.encode(order).decode())
        return Placed(verdict, resource.encode())

    async def cancel(self, broker_id: str, order_id: str) -> Cancelled | None:
        """Cancel the order; None when the broker has no order with this id."""
        reason, resource = await self.row(_CANCEL, order_id, broker_id)
        return None if reason is None else Cancelled(reason, resource.encode())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            # The database is unavailable; the next sweep closes the same orders.
            with contextlib.suppress(OperationalError, PoolTimeout):
                await self.row("SELECT expire_due()")


def app() -> FastAPI:
    """The app for uvicorn."""
    return make_app(InPostgres)
