"""Read-your-writes: a read of a new order id waits briefly for the order's outcome.

After that, the end of the command log decides whether the outcome can still arrive. Requests are
woken when outcomes are applied, without polling; their time and number are bounded.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from schemas import ids
from schemas.orders import OrderRecord
from services.reader.errors import ViewBehindError
from services.reader.views import Views
from services.runtime.errors import UnavailableError
from services.runtime.questions import answer_of

# An order id younger than this may still be on its way through log and matcher.
FRESH_MS = 5_000
WAIT_S = 1.0
# Time limits for finding the end of the log, and for applying outcomes up to it.
END_WAIT_S = 0.5
# Clients can make up fresh ids; beyond this number requests do not wait.
WAITERS_MAX = 1_000


class Waiting:
    """Waiting requests by order. `commands_end` returns, on any thread, the end of a partition of
    the command log; it raises UnavailableError."""

    def __init__(self, views: Views, commands_end: Callable[[int], int]) -> None:
        self._views = views
        self._commands_end = commands_end
        # Each with the condition that ends its waiting.
        self._waiters: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._questions: dict[int, asyncio.Task[int]] = {}

    def on_batch(self) -> None:
        """Wake the requests whose condition holds now, after outcomes were applied."""
        for waiter, met in self._waiters.items():
            if not waiter.done() and met():
                waiter.set_result(None)

    async def order(self, order_id: str, now_ms: int) -> OrderRecord | None:
        """The order once it is known; None at once for an old id, or after the time limit."""
        if abs(now_ms - ids.created_ms(order_id)) <= FRESH_MS:
            await self._until(lambda: self._views.order(order_id) is not None, WAIT_S)
        return self._views.order(order_id)

    async def last_look(self, order_id: str) -> OrderRecord | None:
        """The order if its outcome arrived; None if the log holds no such order.

        Raises ViewBehindError while the log holds commands that may be this order.
        """
        partition = ids.partition_of(order_id)
        if partition is None:
            return None
        await self.reach_end(partition)
        return self._views.order(order_id)

    async def reach_end(self, partition: int) -> None:
        """Wait until the views have applied all commands that the log holds now.

        Raises ViewBehindError when that takes too long, or the end is unknown.
        """
        try:
            end = await asyncio.wait_for(self._end(partition), END_WAIT_S)
        except (TimeoutError, UnavailableError) as error:
            raise ViewBehindError(f"partition {partition}") from error
        if not await self._until(lambda: self._next_command(partition) >= end, END_WAIT_S):
            raise ViewBehindError(f"partition {partition}")

    def _next_command(self, partition: int) -> int:
        return self._views.next_commands().get(partition, 0)

    async def _until(self, met: Callable[[], bool], wait_s: float) -> bool:
        if met() or len(self._waiters) >= WAITERS_MAX:
            return met()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = met
        try:
            await asyncio.wait([waiter], timeout=wait_s)
        finally:
            del self._waiters[waiter]
        return met()

    async def _end(self, partition: int) -> int:
        # One query at a time. An answer to a query sent before ours may be too low, so it is not
        # shared.
        earlier = self._questions.get(partition)
        if earlier is not None:
            await asyncio.wait([earlier])
        question = self._questions.get(partition)
        if question is None:
            question = asyncio.create_task(answer_of(self._commands_end, partition))
            self._questions[partition] = question
            question.add_done_callback(lambda done: self._answered(partition, done))
        return await asyncio.shield(question)

    def _answered(self, partition: int, question: "asyncio.Task[Any]") -> None:
        del self._questions[partition]
        if not question.cancelled():
            # Retrieved here too, because the request that started the query may be gone.
            question.exception()
