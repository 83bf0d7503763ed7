"""Read-your-writes: an order that nobody knows yet may be on its way from the log.

Who asks for a fresh id waits shortly until its outcome is folded; after that, whether it can still
come is told by where the log of commands ends. Woken by the fold, never polling, and bounded in
time and in how many wait at once.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from schemas import ids
from schemas.orders import OrderRecord
from services.reader.errors import ViewBehindError
from services.reader.views import Views
from services.runtime.errors import UnavailableError

# An order id younger than this may be on its way through log and matcher.
FRESH_MS = 5_000
WAIT_S = 1.0
# How long the question for the log's end may take, and then the fold up to there.
END_WAIT_S = 0.5
# Anybody can make up a fresh id; beyond so many, nobody waits.
WAITERS_MAX = 1_000


class Waiting:
    """Who waits for which order. `commands_end` asks Kafka, on any thread, where a partition of
    the command log ends; it raises UnavailableError."""

    def __init__(self, views: Views, commands_end: Callable[[int], int]) -> None:
        self._views = views
        self._commands_end = commands_end
        # Each with the test that ends its waiting.
        self._waiters: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._questions: dict[int, asyncio.Task[int]] = {}

    def on_batch(self) -> None:
        """More was folded: wake those who have what they wait for."""
        for waiter, met in self._waiters.items():
            if not waiter.done() and met():
                waiter.set_result(None)

    async def order(self, order_id: str, now_ms: int) -> OrderRecord | None:
        """The order once it is known; None at once for an old id, or when time is out."""
        if abs(now_ms - ids.created_ms(order_id)) <= FRESH_MS:
            await self._until(lambda: self._views.order(order_id) is not None, WAIT_S)
        return self._views.order(order_id)

    async def last_look(self, order_id: str) -> OrderRecord | None:
        """The order if it came after all; None when the log holds no such order.

        Raises NotFoldedError while the log holds commands that may be it.
        """
        partition = ids.partition_of(order_id)
        if partition is None:
            return None
        try:
            end = await asyncio.wait_for(self._end(partition), END_WAIT_S)
        except (TimeoutError, UnavailableError) as error:
            raise ViewBehindError(order_id) from error
        if not await self._until(lambda: self._folded(partition) >= end, END_WAIT_S):
            raise ViewBehindError(order_id)
        return self._views.order(order_id)

    def _folded(self, partition: int) -> int:
        return self._views.folded().get(partition, 0)

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
        # One question at a time; one that was put before ours may be answered too low.
        earlier = self._questions.get(partition)
        if earlier is not None:
            await asyncio.wait([earlier])
        question = self._questions.get(partition)
        if question is None:
            question = asyncio.create_task(asyncio.to_thread(self._commands_end, partition))
            self._questions[partition] = question
            question.add_done_callback(lambda done: self._answered(partition, done))
        return await asyncio.shield(question)

    def _answered(self, partition: int, question: "asyncio.Task[Any]") -> None:
        del self._questions[partition]
        if not question.cancelled():
            # Seen here too: whoever asked may have left before the answer.
            question.exception()
