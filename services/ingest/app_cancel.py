"""`POST /orders/{order_id}/cancel`: 1. look the order up, 2. send the command if it may be open,
3. wait for the outcome, 4. answer that the order is closed, or why it cannot be cancelled."""

from schemas import ids
from schemas.codec import encode
from schemas.commands import CancelOrder
from schemas.rest import OrderResource
from schemas.topics import COMMANDS
from services.api.app import ProblemError, Request, Response, json_response
from services.api.body import require_no_fields
from services.api.direct import awaited, reply_later
from services.api.messages import Reply, order_not_found
from services.ingest.context import IngestContext, OutcomeReply, Sent, preferences_of
from services.ingest.lookup import LookupUnavailableError
from services.ingest.prefer import Preferences, applied
from services.ingest.publish import Delivery
from services.ingest.settling import known, partition_of, settled
from services.ingest.waiters import CancelResult, OnCancelResult

_GONE = frozenset({"cancelled", "expired", "self_trade", "price_band"})


class CancelOrderHandler:
    """Handles cancels."""

    def __init__(self, context: IngestContext) -> None:
        self._context = context
        self._topic = COMMANDS.full_name(context.topic_prefix)

    def cancel(self, request: Request, reply: Reply) -> Response | None:
        """Cancel the order of one request."""
        partition = self.partition(request)
        require_no_fields(request.body)
        order = self._context.views.at_hand(request.identifier("order_id"))
        if order is None or order.broker_id != request.broker.broker_id:
            reply_later(self._look_up(partition, request), reply)
            return None
        if order.closed_reason is not None:
            return closed(order.resource(), preferences_of(request))
        preferences = preferences_of(request)
        self.begin(partition, order.client_order_id, request, preferences, reply)
        return None

    async def _look_up(self, partition: int, request: Request) -> Response:
        order = await self.find(request)
        if order is not None and order.closed_reason is not None:
            return closed(order, preferences_of(request))
        client_order_id = None if order is None else order.client_order_id

        def begin(request: Request, reply: Reply) -> None:
            self.begin(partition, client_order_id, request, preferences_of(request), reply)

        return await awaited(begin)(request)

    def begin(
        self,
        partition: int,
        client_order_id: str | None,
        request: Request,
        preferences: Preferences,
        reply: Reply,
    ) -> None:
        """Send the command; `reply` receives its answer. Raises ProblemError not_accepted."""
        wait_ms = self._context.wait_ms(preferences)
        waiting = OutcomeReply(self._context, self, request, preferences, reply)
        on_result = waiting.on_outcome
        waiting.sent = self.send(partition, client_order_id, request, on_result, wait_ms)
        if not wait_ms:
            on_result(None)

    async def find(self, request: Request) -> OrderResource | None:
        """The order; None if that is unknown now. Raises ProblemError order_not_found."""
        try:
            return known(await self._context.views.lookup(request.identifier("order_id"), request))
        except LookupUnavailableError:
            # The matcher knows the order and its owner, and will decide.
            return None

    def send(
        self,
        partition: int,
        client_order_id: str | None,
        request: Request,
        on_result: OnCancelResult,
        wait_ms: int,
    ) -> Sent:
        """Send the command for the request's order. Raises ProblemError not_accepted.

        `on_result` receives its result, or None after `wait_ms` or once the delivery fails; it is
        not called for 0.
        """
        context = self._context
        order_id, broker_id = request.identifier("order_id"), request.broker.broker_id
        on_failure = None
        if wait_ms:
            waiting = context.waiters.expect_cancel(order_id, broker_id, on_result, wait_ms)
            on_failure = waiting.end
        value = encode(CancelOrder(order_id=order_id, broker_id=broker_id))
        try:
            delivery = context.publisher.send(self._topic, partition, None, value, on_failure)
        except ProblemError:
            context.waiters.forget_cancel(order_id, broker_id, on_result)
            raise
        return Sent(order_id, client_order_id, delivery)

    def withdraw(self, order_id: str, broker_id: str) -> Delivery:
        """Send the command for an order without an answer. Raises ProblemError not_accepted."""
        partition = ids.partition_of(order_id) or 0
        value = encode(CancelOrder(order_id=order_id, broker_id=broker_id))
        return self._context.publisher.send(self._topic, partition, None, value)

    def partition(self, request: Request) -> int:
        """The partition of the order. Raises ProblemError order_not_found for an invalid id."""
        return partition_of(request, self._context.partitions)

    async def answer(
        self, result: CancelResult, request: Request, preferences: Preferences
    ) -> Response:
        """The answer to a cancel with this result."""
        at_once = self.answer_at_once(result, preferences)
        if at_once is not None:
            return at_once
        order_id = request.identifier("order_id")
        if result == "not_owner":
            raise order_not_found()
        if result == "not_open":
            # The matcher refused because the order is closed; the reader may lag behind it.
            order = await settled(self._context, request, lambda it: it.closed_reason is not None)
            return closed(order, preferences)
        found = await self._context.find(order_id, request)
        if found is not None and found.closed_reason is not None:
            return closed(found, preferences)
        return Response(204, headers=applied(preferences, pending=False))

    def answer_at_once(self, result: CancelResult, preferences: Preferences) -> Response | None:
        """The answer, where it needs no look-up."""
        if result != "gone" or preferences.representation:
            return None
        return Response(204, headers=applied(preferences, pending=False))


def closed(order: OrderResource, preferences: Preferences) -> Response:
    """The answer to the cancel of a closed order. Raises ProblemError too_late_to_cancel."""
    if order.closed_reason not in _GONE:
        raise ProblemError(
            "too_late_to_cancel",
            f"the order is closed already: {order.closed_reason}",
            order=order,
        )
    if preferences.representation:
        return json_response(200, order, applied(preferences, pending=False, represented=True))
    return Response(204, headers=applied(preferences, pending=False))
