"""`POST /orders/batch`: 1. admit all items, 2. take each from its budget, 3. look up what cancels
and replacements name, 4. send the commands in the order of the items, without waiting in between,
5. wait once for all outcomes, 6. answer each item as its single call would.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct, structs

from schemas.batch import (
    BATCH_BYTES_MAX,
    BatchCancel,
    BatchOrder,
    BatchReplace,
    BatchRequest,
    BatchResults,
)
from schemas.executions import OrderRepeated
from schemas.rest import OrderResource
from services.api.app import ProblemError, Request, Response, Route, not_accepted
from services.api.direct import awaited
from services.api.messages import Budget, Headers
from services.ingest.app_cancel import CancelOrderHandler, closed
from services.ingest.app_place import PlaceOrderHandler
from services.ingest.app_replace import ReplaceOrderHandler
from services.ingest.batch_admission import Item, admit_batch
from services.ingest.context import IngestContext, Sent, preferences_of
from services.ingest.prefer import Preferences, applied
from services.ingest.route_parts import PREFER_CANCEL
from services.runtime.metrics import BATCH_ITEMS

_PENDING: Final = 202
_ERROR: Final = 400
_OK: Final = 200


class _Arrivals:
    """Counts the outcomes that a batch waits for; `wait` ends when every one has come."""

    def __init__(self) -> None:
        self.expected = 0
        self._all: asyncio.Future[None] | None = None

    def note(self) -> None:
        """Count one outcome."""
        self.expected -= 1
        if not self.expected and self._all is not None and not self._all.done():
            self._all.set_result(None)

    async def wait(self) -> None:
        """Wait for the outcomes that are expected now."""
        if self.expected:
            self._all = asyncio.get_running_loop().create_future()
            await self._all


class _Batch(Struct, frozen=True):
    # Parts that the items of one request share.
    context: IngestContext
    placing: PlaceOrderHandler
    cancelling: CancelOrderHandler
    replacing: ReplaceOrderHandler
    request: Request
    preferences: Preferences
    now_ms: int
    wait_ms: int
    arrivals: _Arrivals
    # The first item that places an order with a symbol and client order id.
    places: dict[tuple[Any, Any], "_Place"]

    def of(self, order_id: str) -> Request:
        """The request of the single call for an order."""
        return structs.replace(self.request, parameters={"order_id": order_id}, body=b"")

    async def named(self, named: BatchCancel | BatchReplace) -> Request:
        """The request of the single call for the order of an item. Raises ProblemError: 404, or
        503 if it is unknown now."""
        if isinstance(named.order_id, str):
            return self.of(named.order_id)
        symbol, client_order_id = str(named.symbol), str(named.client_order_id)
        return self.of(await self.context.named(symbol, client_order_id, self.request))


class _Item(Protocol):
    """One item on its way to its answer. `result` and `answer` are None until they are known."""

    budget: Budget
    sent: Sent | None
    result: Any
    answer: Response | None

    def look_up(self) -> Coroutine[Any, Any, Response | None] | None:
        """Reads that must precede the command, None if there are none. They return the answer if
        no command is needed. Raises ProblemError."""

    def send(self) -> Sent:
        """Send the command. Raises ProblemError not_accepted."""

    def answer_at_once(self, result: Any) -> Response | None:
        """The answer to this outcome; None where it needs a look-up."""

    def answer_after(self, result: Any) -> Coroutine[Any, Any, Response]:
        """The answer with a look-up. Raises ProblemError."""


class _Waiting:
    # The common part of items: their outcome, which is counted.
    __slots__ = ("_batch", "answer", "result", "sent")

    def __init__(self, batch: _Batch) -> None:
        self._batch = batch
        self.sent: Sent | None = None
        self.result: Any = None
        self.answer: Response | None = None

    def on_outcome(self, result: Any) -> None:
        """Keep the outcome; None: none arrived in time, or the delivery failed."""
        self.result = result
        self._batch.arrivals.note()


class _Place(_Waiting):
    __slots__ = ("_order",)
    budget: Budget = "orders"

    def __init__(self, batch: _Batch, order: BatchOrder) -> None:
        super().__init__(batch)
        self._order = order
        batch.places.setdefault((order.symbol, order.client_order_id), self)

    def look_up(self) -> None:
        """An order needs nothing."""

    def send(self) -> Sent:
        batch = self._batch
        broker_id = batch.request.broker.broker_id
        return batch.placing.send(
            self._order, broker_id, batch.now_ms, self.on_outcome, batch.wait_ms
        )

    def answer_at_once(self, result: Any) -> Response | None:
        return self._batch.placing.answer_at_once(result, self._batch.preferences)

    def answer_after(self, result: Any) -> Coroutine[Any, Any, Response]:
        return self._batch.placing.answer(result, self._batch.request, self._batch.preferences)


class _Cancel(_Waiting):
    __slots__ = ("_cancel", "_client_order_id", "_place", "_request")
    budget: Budget = "cancels"

    def __init__(self, batch: _Batch, cancel: BatchCancel) -> None:
        super().__init__(batch)
        self._cancel = cancel
        self._request = batch.request
        self._client_order_id: str | None = None
        # The item before this one that places the order.
        self._place = batch.places.get((cancel.symbol, cancel.client_order_id))

    def look_up(self) -> Coroutine[Any, Any, Response | None] | None:
        return self._find() if self._place is None else None

    async def _find(self) -> Response | None:
        batch = self._batch
        self._request = await batch.named(self._cancel)
        batch.cancelling.partition(self._request)
        order = await batch.cancelling.find(self._request)
        if order is None:
            return None
        self._client_order_id = order.client_order_id
        return None if order.closed_reason is None else closed(order, batch.preferences)

    def send(self) -> Sent:
        batch = self._batch
        if self._place is not None:
            if self._place.sent is None:
                raise not_accepted("the item that places this order was not carried out")
            self._request = batch.of(self._place.sent.order_id)
            self._client_order_id = self._place.sent.client_order_id
        return batch.cancelling.send(
            batch.cancelling.partition(self._request),
            self._client_order_id,
            self._request,
            self.on_outcome,
            batch.wait_ms,
        )

    def answer_at_once(self, result: Any) -> Response | None:
        return self._batch.cancelling.answer_at_once(result, self._batch.preferences)

    def answer_after(self, result: Any) -> Coroutine[Any, Any, Response]:
        batch = self._batch
        placed = None if self._place is None else self._place.result
        if placed is not None and isinstance(placed.event, OrderRepeated):
            # The order has the id of its first attempt, to which the command did not refer.
            return self._cancel_first(placed.event.original_order_id)
        return batch.cancelling.answer(result, self._request, batch.preferences)

    async def _cancel_first(self, order_id: str) -> Response:
        return await awaited(self._batch.cancelling.cancel)(self._batch.of(order_id))


class _Replace(_Waiting):
    __slots__ = ("_order", "_request", "_values")
    budget: Budget = "orders"

    def __init__(self, batch: _Batch, values: BatchReplace) -> None:
        super().__init__(batch)
        self._values = values
        self._request = batch.request
        self._order: OrderResource | None = None

    async def look_up(self) -> None:
        self._request = await self._batch.named(self._values)
        self._order = await self._batch.replacing.find(self._values, self._request)

    def send(self) -> Sent:
        if self._order is None:
            raise RuntimeError("a replacement was sent before its order was looked up")
        return self._batch.replacing.send(
            self._values,
            self._order,
            self._request,
            self.on_outcome,
            self._batch.wait_ms,
        )

    def answer_at_once(self, _: Any) -> None:
        """Each answer needs the order after the outcome."""

    def answer_after(self, result: Any) -> Coroutine[Any, Any, Response]:
        return self._batch.replacing.answer(result, self._request, self._batch.preferences)


KINDS: Final = {"place": _Place, "cancel": _Cancel, "replace": _Replace}


class BatchHandler:
    """Handles batches of the calls of these handlers."""

    def __init__(
        self,
        context: IngestContext,
        placing: PlaceOrderHandler,
        cancelling: CancelOrderHandler,
        replacing: ReplaceOrderHandler,
    ) -> None:
        self._context = context
        self._placing = placing
        self._cancelling = cancelling
        self._replacing = replacing

    def route(self) -> Route:
        """The table entry of the call."""
        return Route(
            method="POST",
            path="/orders/batch",
            handler=self.run,
            who="broker",
            summary="Place, cancel, replace up to 100 orders; one result each, in their order",
            request=BatchRequest,
            answers={200: BatchResults},
            problems=("malformed_json", "invalid", "not_accepted"),
            parameters=(PREFER_CANCEL,),
            # The call itself; each item is then taken from the budget of its single call.
            budget="cancels",
            body_bytes_max=BATCH_BYTES_MAX,
        )

    async def run(self, request: Request) -> Response:
        """Answer one request."""
        context = self._context
        now_ms = context.clock()
        admitted = admit_batch(request.body, now_ms)
        preferences = preferences_of(request)
        wait_ms = context.wait_ms(preferences)
        arrivals = _Arrivals()
        handlers = (self._placing, self._cancelling, self._replacing)
        batch = _Batch(context, *handlers, request, preferences, now_ms, wait_ms, arrivals, {})
        items: list[_Item] = [KINDS[kind](batch, content) for kind, content in admitted]
        self._pay(items, request)
        await self._look_up(items, request)
        self._send(items, batch)
        await arrivals.wait()
        await self._answer(items, request, preferences)
        answers = [item.answer for item in items if item.answer is not None]
        _count(admitted, answers)
        return Response(200, _body(answers), _honoured(admitted, answers, preferences))

    def _pay(self, items: Sequence[_Item], request: Request) -> None:
        now_s = time.monotonic()
        for item in items:
            try:
                self._context.rate_limiter.spend(request.broker.broker_id, item.budget, now_s)
            except ProblemError as problem:
                item.answer = problem.response(request.request_id)

    async def _look_up(self, items: Sequence[_Item], request: Request) -> None:
        running = []
        for item in items:
            if item.answer is None:
                try:
                    looking_up = item.look_up()
                except ProblemError as problem:
                    self._refuse(item, problem, request)
                    continue
                if looking_up is not None:
                    running.append(self._guarded(item, looking_up, request))
        if running:
            await asyncio.gather(*running)

    def _send(self, items: Sequence[_Item], batch: _Batch) -> None:
        for item in items:
            if item.answer is None:
                try:
                    item.sent = item.send()
                except ProblemError as problem:
                    self._refuse(item, problem, batch.request)
                else:
                    batch.arrivals.expected += batch.wait_ms > 0
        self._context.publisher.flush()

    async def _answer(
        self, items: Sequence[_Item], request: Request, preferences: Preferences
    ) -> None:
        running = []
        for item in items:
            if item.sent is None:
                continue
            result = item.result
            if result is None:
                pending = self._context.pending(item.sent, preferences)
                running.append(self._guarded(item, pending, request))
            else:
                item.answer = item.answer_at_once(result)
                if item.answer is None:
                    running.append(self._guarded(item, item.answer_after(result), request))
        if running:
            await asyncio.gather(*running)

    async def _guarded(
        self, item: _Item, step: Coroutine[Any, Any, Response | None], request: Request
    ) -> None:
        try:
            item.answer = await step
        except ProblemError as problem:
            self._refuse(item, problem, request)

    def _refuse(self, item: _Item, problem: ProblemError, request: Request) -> None:
        if problem.tokens:
            self._context.rate_limiter.charge(
                request.broker.broker_id, item.budget, problem.tokens, time.monotonic()
            )
        item.answer = problem.response(request.request_id)


def _count(admitted: Sequence[Item], answers: Sequence[Response]) -> None:
    kinds = (kind for kind, _ in admitted)
    counts = Counter(zip(kinds, (answer.status for answer in answers), strict=True))
    for (kind, status), count in counts.items():
        BATCH_ITEMS.labels(kind, str(status)).inc(count)


def _body(answers: Sequence[Response]) -> bytes:
    # Written by hand around the bodies, which are JSON already.
    results = [
        b'{"status":%d,"%s":%s}' % (answer.status, _name(answer.status), answer.body)
        if answer.body
        else b'{"status":%d}' % answer.status
        for answer in answers
    ]
    return b'{"results":[%s]}' % b",".join(results)


def _name(status: int) -> bytes:
    # The name of a body of this status in a BatchResult.
    if status == _PENDING:
        return b"pending"
    return b"problem" if status >= _ERROR else b"order"


def _honoured(
    admitted: Sequence[Item], answers: Sequence[Response], preferences: Preferences
) -> Headers:
    answered = {(kind, answer.status) for (kind, _), answer in zip(admitted, answers, strict=True)}
    return applied(
        preferences,
        pending=any(status == _PENDING for _, status in answered),
        represented=preferences.representation and ("cancel", _OK) in answered,
    )
