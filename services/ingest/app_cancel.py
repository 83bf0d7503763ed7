"""`POST /orders/{order_id}/cancel`: 1. look the order up, 2. send the command if it may be open,
3. wait for the outcome, 4. answer that the order is closed, or why it cannot be cancelled."""

import asyncio

import msgspec

from schemas import ids
from schemas.codec import encode
from schemas.commands import CancelOrder
from schemas.rest import OrderResource
from schemas.topics import COMMANDS
from schemas.units import OrderId
from services.api.app import ProblemError, Request, Response, json_response, not_accepted
from services.api.body import require_no_fields
from services.ingest.context import IngestContext, pending, preferences_of
from services.ingest.lookup import LookupUnavailableError
from services.ingest.prefer import Preferences, applied
from services.ingest.waiters import CancelResult

# How long a reader in another process may lag behind the outcome that this process received.
SETTLE_S = 1.0
_SETTLE_STEP_S = 0.05
# Cancels that one of an unknown order counts for: PostgreSQL and Kafka were asked for it.
UNKNOWN_TOKENS = 10
_GONE = frozenset({"cancelled", "expired"})


class CancelOrderHandler:
    """Handles cancels."""

    def __init__(self, context: IngestContext) -> None:
        self._context = context
        self._topic = COMMANDS.full_name(context.topic_prefix)

    async def cancel(self, request: Request) -> Response:
        """Answer one request."""
        order_id = request.identifier("order_id")
        partition = self._partition(order_id)
        require_no_fields(request.body)
        preferences = preferences_of(request)
        order: OrderResource | None = None
        try:
            order = _known(await self._context.lookup(order_id, request))
        except LookupUnavailableError:
            # The matcher knows the order and its owner, and will decide.
            order = None
        if order is not None and order.closed_reason is not None:
            return _closed(order, preferences)
        return await self._send(partition, request, preferences, order)

    def _partition(self, order_id: str) -> int:
        partition = ids.partition_of(order_id)
        try:
            msgspec.convert(order_id, OrderId)
        except msgspec.ValidationError:
            partition = None
        if partition is None or partition >= self._context.partitions:
            raise _not_found()
        return partition

    async def _send(
        self,
        partition: int,
        request: Request,
        preferences: Preferences,
        order: OrderResource | None,
    ) -> Response:
        context = self._context
        order_id = request.identifier("order_id")
        broker_id = request.broker.broker_id
        waiting = context.waiters.expect_cancel(order_id, broker_id)
        try:
            value = encode(CancelOrder(order_id=order_id, broker_id=broker_id))
            delivery = context.publisher.send(self._topic, partition, None, value)
            result = await context.outcome(waiting, context.wait_ms(preferences))
        finally:
            context.waiters.forget_cancel(order_id, broker_id, waiting)
        if result is None:
            await context.require_stored(delivery, order_id)
            return pending(order_id, order.client_order_id if order else None, preferences)
        return await self._answer(result, request, preferences)

    async def _answer(
        self, result: CancelResult, request: Request, preferences: Preferences
    ) -> Response:
        order_id = request.identifier("order_id")
        if result == "not_owner":
            raise _not_found()
        if result == "not_open":
            return _closed(await self._settled(order_id, request), preferences)
        if preferences.representation:
            order = await self._context.find(order_id, request)
            if order is not None and order.closed_reason is not None:
                return _closed(order, preferences)
        return Response(204, headers=applied(preferences, pending=False))

    async def _settled(self, order_id: str, request: Request) -> OrderResource:
        # The matcher refused because the order is closed; the reader may lag behind it.
        deadline = self._context.loop.time() + SETTLE_S
        try:
            while self._context.loop.time() < deadline:
                order = _known(await self._context.lookup(order_id, request))
                if order.closed_reason is not None:
                    return order
                await asyncio.sleep(_SETTLE_STEP_S)
        except LookupUnavailableError:
            pass
        raise not_accepted("the order is not open, but its final state cannot be read now")


def _known(order: OrderResource | None) -> OrderResource:
    if order is None:
        raise _not_found()
    return order


def _not_found() -> ProblemError:
    return ProblemError("order_not_found", "No such order of yours.").costing(UNKNOWN_TOKENS)


def _closed(order: OrderResource, preferences: Preferences) -> Response:
    if order.closed_reason not in _GONE:
        raise ProblemError(
            "too_late_to_cancel",
            f"the order is closed already: {order.closed_reason}",
            order=order,
        )
    if preferences.representation:
        return json_response(200, order, applied(preferences, pending=False, represented=True))
    return Response(204, headers=applied(preferences, pending=False))
