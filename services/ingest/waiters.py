"""Requests that wait for an outcome: batches in, callbacks called. Pure apart from deadlines.

Most outcomes of a busy exchange belong to other gateways, so each costs one look-up only.
"""

import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Literal, TypeVar

from schemas.executions import (
    CommandRefused,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderRepeated,
    OrdersCancelled,
    Outcome,
    PhaseSet,
)
from services.ingest.deadlines import Deadline, Deadlines
from services.runtime.kafka.execution_filter import Batch

log = logging.getLogger(__name__)

# Result of a cancel. `gone`: cancelled now, or expired before.
CancelResult = Literal["gone", "not_open", "not_owner"]
_REFUSED_CANCELS: dict[str, CancelResult] = {"order_not_open": "not_open", "not_owner": "not_owner"}
# Each receives None where no outcome arrives in time, or the command's delivery fails.
OnOutcome = Callable[[Outcome | None], None]
OnCancelResult = Callable[[CancelResult | None], None]
T = TypeVar("T")


class Waiters:
    """Callbacks by order id or request, and for cancels by order and calling broker.

    Each is called once. Several requests may cancel one order; an outcome answers all of them.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._deadlines = Deadlines(loop)
        self._placed: dict[str, tuple[OnOutcome, Deadline]] = {}
        self._cancels: dict[tuple[str, str], list[tuple[OnCancelResult, Deadline]]] = {}

    def __len__(self) -> int:
        return len(self._placed) + len(self._cancels)

    def expect_placed(self, order_id: str, on_outcome: OnOutcome, wait_ms: int) -> Deadline:
        """Register before the command is sent. `end` of the result ends the wait early."""
        deadline = self._deadlines.add(wait_ms, lambda: self._end_placed(order_id, on_outcome))
        self._placed[order_id] = on_outcome, deadline
        return deadline

    def forget_placed(self, order_id: str) -> None:
        """Release an order whose command was not sent, without a call."""
        waiting = self._placed.pop(order_id, None)
        if waiting is not None:
            waiting[1].cancel()

    def _end_placed(self, order_id: str, on_outcome: OnOutcome) -> None:
        self._placed.pop(order_id, None)
        _call(on_outcome, None)

    def expect_cancel(
        self, order_id: str, broker_id: str, on_result: OnCancelResult, wait_ms: int
    ) -> Deadline:
        """Register before the command is sent. `end` of the result ends the wait early."""
        deadline = self._deadlines.add(
            wait_ms, lambda: self._end_cancel(order_id, broker_id, on_result)
        )
        self._cancels.setdefault((order_id, broker_id), []).append((on_result, deadline))
        return deadline

    def forget_cancel(self, order_id: str, broker_id: str, on_result: OnCancelResult) -> None:
        """Release a cancel whose command was not sent, without a call."""
        key = order_id, broker_id
        waiting = self._cancels.get(key, [])
        for position, (known, deadline) in enumerate(waiting):
            if known == on_result:
                deadline.cancel()
                del waiting[position]
                if not waiting:
                    del self._cancels[key]
                return

    def _end_cancel(self, order_id: str, broker_id: str, on_result: OnCancelResult) -> None:
        self.forget_cancel(order_id, broker_id, on_result)
        _call(on_result, None)

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
            elif isinstance(event, (InstrumentSet, OrderAmended, OrdersCancelled, PhaseSet)):
                self._resolve_placed(event.request, outcome)
            elif isinstance(event, CommandRefused):
                self._refused(event, outcome)

    def _refused(self, event: CommandRefused, outcome: Outcome) -> None:
        if event.request is not None:
            self._resolve_placed(event.request, outcome)
            return
        result = _REFUSED_CANCELS.get(event.code)
        if result is None:
            self._resolve_placed(event.order_id or "", outcome)
        else:
            self._resolve_cancels(event.order_id or "", event.broker_id or "", result)

    def _resolve_placed(self, order_id: str, outcome: Outcome) -> None:
        waiting = self._placed.pop(order_id, None)
        if waiting is not None:
            on_outcome, deadline = waiting
            deadline.cancel()
            _call(on_outcome, outcome)

    def _resolve_cancels(self, order_id: str, broker_id: str, result: CancelResult) -> None:
        for on_result, deadline in self._cancels.pop((order_id, broker_id), ()):
            deadline.cancel()
            _call(on_result, result)


def _call(callback: Callable[[T], None], result: T) -> None:
    try:
        callback(result)
    except Exception:
        # One request; the outcomes of all others still have to be passed on.
        log.exception("a request could not be answered")
