"""Requests that wait for an outcome. Pure apart from futures: batches in, waiting requests
answered.

Most outcomes of a busy exchange belong to other gateways, so each costs one look-up only.
"""

from asyncio import AbstractEventLoop, Future
from typing import Literal

from schemas.executions import CommandRefused, OrderAccepted, OrderCancelled, OrderRepeated, Outcome
from services.runtime.kafka.execution_filter import Batch

# Result of a cancel. `gone`: cancelled now, or expired before.
CancelResult = Literal["gone", "not_open", "not_owner"]
_REFUSED_CANCELS: dict[str, CancelResult] = {"order_not_open": "not_open", "not_owner": "not_owner"}


class Waiters:
    """Futures by order id, and for cancels by order and calling broker. None: no outcome.

    Several requests may cancel one order; an outcome answers all of them.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._placed: dict[str, Future[Outcome | None]] = {}
        self._cancels: dict[tuple[str, str], list[Future[CancelResult | None]]] = {}

    def __len__(self) -> int:
        return len(self._placed) + len(self._cancels)

    def expect_placed(self, order_id: str) -> "Future[Outcome | None]":
        """Register before the command is sent; release with `forget_placed`."""
        future: Future[Outcome | None] = self._loop.create_future()
        self._placed[order_id] = future
        return future

    def forget_placed(self, order_id: str) -> None:
        """Release a waiting order request."""
        self._placed.pop(order_id, None)

    def expect_cancel(self, order_id: str, broker_id: str) -> "Future[CancelResult | None]":
        """Register before the command is sent; release with `forget_cancel`."""
        future: Future[CancelResult | None] = self._loop.create_future()
        self._cancels.setdefault((order_id, broker_id), []).append(future)
        return future

    def forget_cancel(
        self, order_id: str, broker_id: str, future: "Future[CancelResult | None]"
    ) -> None:
        """Release one waiting cancel."""
        waiting = self._cancels.get((order_id, broker_id))
        if waiting is not None and future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._cancels[order_id, broker_id]

    def resolve(self, batch: Batch) -> None:
        """Answer the requests that wait for an outcome of the batch."""
        if not self._placed and not self._cancels:
            return
        for outcome in batch.outcomes:
            for expired in outcome.expired:
                self._resolve_cancels(expired.order_id, expired.broker_id, "gone")
            event = outcome.event
            if isinstance(event, (OrderAccepted, OrderRepeated)):
                self._resolve_placed(event.order_id, outcome)
            elif isinstance(event, OrderCancelled):
                self._resolve_cancels(event.order_id, event.broker_id, "gone")
            elif isinstance(event, CommandRefused):
                self._refused(event, outcome)

    def _refused(self, event: CommandRefused, outcome: Outcome) -> None:
        result = _REFUSED_CANCELS.get(event.code)
        if result is None:
            self._resolve_placed(event.order_id or "", outcome)
        else:
            self._resolve_cancels(event.order_id or "", event.broker_id or "", result)

    def _resolve_placed(self, order_id: str, outcome: Outcome) -> None:
        future = self._placed.pop(order_id, None)
        if future is not None and not future.done():
            future.set_result(outcome)

    def _resolve_cancels(self, order_id: str, broker_id: str, result: CancelResult) -> None:
        for future in self._cancels.pop((order_id, broker_id), ()):
            if not future.done():
                future.set_result(result)
