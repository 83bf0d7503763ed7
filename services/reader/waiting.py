"""Read-your-writes: whoever asks for a fresh order id waits shortly until its outcome is folded.

Woken by the fold, never polling. Bounded in time and in how many wait at once.
"""

import asyncio

from schemas import ids
from schemas.orders import OrderRecord
from services.reader.views import Views

# An order id younger than this may be on its way through log and matcher.
FRESH_MS = 5_000
WAIT_S = 1.0
# Anybody can make up a fresh id; beyond so many, nobody waits.
WAITERS_MAX = 1_000


class Waiting:
    """Who waits for which order."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._waiters: dict[asyncio.Future[OrderRecord], str] = {}

    def told(self) -> None:
        """More was folded: wake those whose order is known now."""
        for waiter, order_id in self._waiters.items():
            record = self._views.order(order_id)
            if record is not None and not waiter.done():
                waiter.set_result(record)

    async def order(self, order_id: str, now_ms: int) -> OrderRecord | None:
        """The order once it is known; None at once for an old id, or when time is out."""
        if abs(now_ms - ids.created_ms(order_id)) > FRESH_MS:
            return None
        if len(self._waiters) >= WAITERS_MAX:
            return None
        waiter: asyncio.Future[OrderRecord] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = order_id
        try:
            await asyncio.wait([waiter], timeout=WAIT_S)
        finally:
            del self._waiters[waiter]
        return waiter.result() if waiter.done() else None
