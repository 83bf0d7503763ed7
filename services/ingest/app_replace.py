"""`POST /orders/{order_id}/replace`: 1. look the order up, whose quantity the command names,
2. send the command if it may be open, 3. wait for the outcome, 4. answer with the order after it.
"""

from typing import Final

from schemas.codec import encode
from schemas.commands import AmendOrder
from schemas.conditions import display_fault, stop_price_fault
from schemas.executions import CommandRefused, OrderAmended, Outcome
from schemas.levels import level_of
from schemas.rest import FieldFault, OrderResource, PendingOrder, ReplaceRequest
from schemas.topics import COMMANDS
from schemas.units import milliseconds, rfc3339
from services.api.app import ProblemError, Request, Response, Route, json_response, not_accepted
from services.api.decoding import Faults, invalid_fields
from services.api.direct import awaited
from services.api.messages import Reply, order_not_found
from services.ingest.admission import admit_replacement
from services.ingest.context import (
    IngestContext,
    OutcomeReply,
    Sent,
    pending_answer,
    preferences_of,
)
from services.ingest.lookup import LookupUnavailableError
from services.ingest.prefer import Preferences, applied
from services.ingest.refusals import raise_refusal
from services.ingest.route_parts import PREFER_OUTCOME, WRITING_PROBLEMS
from services.ingest.settling import known, partition_of, settled
from services.ingest.waiters import OnOutcome

_CALL_BYTES: Final = 8


class ReplaceOrderHandler:
    """Handles replacements of the values of open orders."""

    def __init__(self, context: IngestContext) -> None:
        self._context = context
        self._topic = COMMANDS.full_name(context.topic_prefix)

    def route(self) -> Route:
        """The table entry of the call."""
        return Route(
            method="POST",
            path="/orders/{order_id}/replace",
            handler=self.replace,
            who="broker",
            summary="Replace values of one of your orders, which keeps its id",
            request=ReplaceRequest,
            answers={200: OrderResource, 202: PendingOrder},
            problems=(
                "order_not_found",
                "too_late_to_replace",
                "not_amendable",
                "market_halted",
                "market_closed",
                "post_only_would_trade",
                "outside_price_band",
                "stop_would_trigger",
                *WRITING_PROBLEMS,
            ),
            parameters=(PREFER_OUTCOME,),
        )

    async def replace(self, request: Request) -> Response:
        """Replace values of the order of one request."""
        values = admit_replacement(request.body, self._context.clock())
        order = await self.find(values, request)

        def begin(request: Request, reply: Reply) -> None:
            self.begin(values, order, request, preferences_of(request), reply)

        return await awaited(begin)(request)

    def begin(
        self,
        values: ReplaceRequest,
        order: OrderResource,
        request: Request,
        preferences: Preferences,
        reply: Reply,
    ) -> None:
        """Send the command; `reply` receives its answer. Raises ProblemError not_accepted."""
        wait_ms = self._context.wait_ms(preferences)
        waiting = OutcomeReply(self._context, self, request, preferences, reply)
        on_outcome = waiting.on_outcome
        waiting.sent = self.send(values, order, request, on_outcome, wait_ms)
        if not wait_ms:
            on_outcome(None)

    async def find(self, values: ReplaceRequest, request: Request) -> OrderResource:
        """The order, which may be open and take these values. Raises ProblemError: 404, 409, 422,
        or 503 if it is unknown now: the command would lack its quantity."""
        partition_of(request, self._context.partitions)
        try:
            order = known(await self._context.views.lookup(request.identifier("order_id"), request))
        except LookupUnavailableError:
            raise not_accepted("the order cannot be read now; nothing was written") from None
        require_replaceable(order, values)
        return order

    def send(
        self,
        values: ReplaceRequest,
        order: OrderResource,
        request: Request,
        on_outcome: OnOutcome,
        wait_ms: int,
    ) -> Sent:
        """Send the command. Raises ProblemError not_accepted.

        `on_outcome` receives its outcome, or None after `wait_ms` or once the delivery fails; it is
        not called for 0.
        """
        context = self._context
        partition = partition_of(request, context.partitions)
        call, until = context.randomness(_CALL_BYTES).hex(), values.valid_until
        command = AmendOrder(
            order.order_id,
            request.broker.broker_id,
            call,
            values.quantity,
            None if values.quantity is None else order.quantity,
            values.price,
            None if until is None else milliseconds(until),
            order.post_only,
            values.display_quantity,
            values.stop_price,
            waits=_waits(order),
        )
        context.require_level(partition, level_of(command))
        value, on_failure = encode(command), None
        if wait_ms:
            on_failure = context.waiters.expect_placed(call, on_outcome, wait_ms).end
        try:
            delivery = context.publisher.send(self._topic, partition, None, value, on_failure)
        except ProblemError:
            context.waiters.forget_placed(call)
            raise
        return Sent(order.order_id, order.client_order_id, delivery)

    def answer_at_once(self, _: Outcome, __: Preferences) -> None:
        """Each answer needs the order after the outcome."""

    async def answer(
        self, outcome: Outcome, request: Request, preferences: Preferences
    ) -> Response:
        """The answer to a replacement with this outcome."""
        event = outcome.event
        if isinstance(event, OrderAmended):
            time = outcome.time
            try:
                order = await settled(self._context, request, lambda it: _shows(it, event, time))
            except ProblemError:
                # It took effect, but the reader does not show it yet.
                return pending_answer(event.order_id, None, preferences)
            return json_response(200, order, applied(preferences, pending=False))
        if isinstance(event, CommandRefused) and event.code == "order_not_open":
            # The reader may lag behind the outcome that closed the order.
            require_open(
                await settled(self._context, request, lambda it: it.closed_reason is not None)
            )
        if isinstance(event, CommandRefused) and event.code == "not_owner":
            raise order_not_found()
        if isinstance(event, CommandRefused):
            raise_refusal(event.code)
        raise RuntimeError(f"a replacement got the outcome {event!r}")


def _shows(order: OrderResource, event: OrderAmended, time: int) -> bool:
    """True if the order is the one after this event, or after later ones."""
    at = rfc3339(time)
    is_later = order.updated_at > at or order.closed_reason is not None
    until = None if event.valid_until is None else rfc3339(event.valid_until)
    return is_later or (
        order.updated_at == at
        and (order.price, order.valid_until, order.display_quantity)
        == (event.price, until, event.display_quantity)
        and event.stop_price in (None, order.stop_price)
        and order.remaining_quantity <= event.remaining_quantity
    )


def _waits(order: OrderResource) -> bool:
    return order.stop_price is not None and order.triggered_at is None


def stop_faults(values: ReplaceRequest, order: OrderResource) -> Faults:
    """Faults of the new prices of a stop-limit order that waits, as far as it is known here."""
    if not _waits(order) or order.price is None:
        # It has no limit: the matcher refuses one.
        return []
    stop_price = values.stop_price or order.stop_price or 0
    fault = stop_price_fault(order.side, values.price or order.price, stop_price)
    return [] if fault is None else [FieldFault("/stop_price", fault)]


def display_faults(values: ReplaceRequest, order: OrderResource) -> Faults:
    """Faults of the new values of an iceberg order, as far as it is known here."""
    display, quantity = values.display_quantity, values.quantity or order.quantity
    if display is None:
        # A cut may leave less than a slice.
        display, name = min(order.display_quantity or quantity, quantity), "quantity"
    else:
        name = "display_quantity"
    fault = display_fault(display, quantity) if display else None
    return [] if fault is None else [FieldFault(f"/{name}", f"display_quantity {fault}")]


def require_replaceable(order: OrderResource, values: ReplaceRequest) -> None:
    """Raises ProblemError: 409 if the order is closed, 422 for values that do not fit it."""
    require_open(order)
    faults = display_faults(values, order) + stop_faults(values, order)
    if faults:
        raise invalid_fields(faults)


def require_open(order: OrderResource) -> None:
    """Raises ProblemError too_late_to_replace, with the order, if it is closed."""
    if order.closed_reason is not None:
        detail = f"the order is closed already: {order.closed_reason}"
        raise ProblemError("too_late_to_replace", detail, order=order)
