"""`POST /orders`: 1. admit, 2. create id and command, 3. send it, 4. wait for the outcome,
5. answer with the order after matching. Steps 1 to 3 and 5 are each one call, without a task."""

from typing import Final

from schemas.codec import encode
from schemas.commands import EnterOrder, PlaceOrder
from schemas.conditions import default_time_in_force, order_type_of
from schemas.executions import CommandRefused, OrderAccepted, OrderRepeated, Outcome
from schemas.levels import level_of
from schemas.orders import OrderRecord
from schemas.rest import OrderRequest
from schemas.topics import COMMANDS
from schemas.units import milliseconds
from services.api.app import ProblemError, Request, Response, json_response, not_accepted
from services.api.messages import Reply
from services.ingest.admission import admit
from services.ingest.context import IngestContext, OutcomeReply, Sent, location, preferences_of
from services.ingest.order_ids import OrderIds
from services.ingest.prefer import Preferences, applied
from services.ingest.refusals import raise_refusal
from services.ingest.waiters import OnOutcome

# Time in force by default, and nothing else, makes a plain order.
_NO_CONDITIONS: Final = (None, False, None, None, None, None)


class PlaceOrderHandler:
    """Handles new orders, which get these ids."""

    def __init__(self, context: IngestContext, order_ids: OrderIds) -> None:
        self._context = context
        self._order_ids = order_ids
        self._topic = COMMANDS.full_name(context.topic_prefix)

    def place(self, request: Request, reply: Reply) -> None:
        """Place the order of one request."""
        order = admit(request.body, self._context.clock())
        self.submit(order, request, preferences_of(request), reply)

    def submit(
        self, order: OrderRequest, request: Request, preferences: Preferences, reply: Reply
    ) -> str:
        """Send a valid order of the request's broker, whose answer `reply` receives; its id.

        Raises ProblemError not_accepted: it was not sent.
        """
        context = self._context
        wait_ms = context.wait_ms(preferences)
        waiting = OutcomeReply(context, self, request, preferences, reply)
        on_outcome, broker_id = waiting.on_outcome, request.broker.broker_id
        waiting.sent = self.send(order, broker_id, context.clock(), on_outcome, wait_ms)
        if not wait_ms:
            on_outcome(None)
        return waiting.sent.order_id

    def send(
        self,
        order: OrderRequest,
        broker_id: str,
        now_ms: int,
        on_outcome: OnOutcome,
        wait_ms: int,
    ) -> Sent:
        """Send the command of a valid order. Raises ProblemError not_accepted.

        `on_outcome` receives its outcome, or None after `wait_ms` or once the delivery fails; it is
        not called for 0.
        """
        context = self._context
        partition = context.partition_map.partition(order.symbol)
        order_id = self._order_ids.new(now_ms, partition)
        command = command_of(order, order_id, broker_id)
        if type(command) is EnterOrder or self._order_ids.level:
            context.require_level(partition, max(level_of(command), self._order_ids.level))
        value = encode(command)
        on_failure = None
        if wait_ms:
            on_failure = context.waiters.expect_placed(order_id, on_outcome, wait_ms).end
        try:
            key = order.symbol.encode()
            delivery = context.publisher.send(self._topic, partition, key, value, on_failure)
        except ProblemError:
            context.waiters.forget_placed(order_id)
            raise
        return Sent(order_id, order.client_order_id, delivery)

    async def answer(
        self, outcome: Outcome, request: Request, preferences: Preferences
    ) -> Response:
        """The answer to an order with this outcome."""
        at_once = self.answer_at_once(outcome, preferences)
        if at_once is not None:
            return at_once
        event = outcome.event
        if isinstance(event, OrderRepeated):
            original = await self._context.find(event.original_order_id, request)
            if original is None:
                raise not_accepted(
                    f"order {event.original_order_id} has this client_order_id already, and "
                    "cannot be looked up now; nothing new was entered"
                )
            honoured = applied(preferences, pending=False)
            return json_response(200, original, (("Location", location(original.id)), *honoured))
        if isinstance(event, CommandRefused) and event.code == "client_order_id_reused":
            original_id = event.original_order_id or ""
            raise ProblemError(
                "client_order_id_reused",
                f"order {original_id} has this client_order_id already, and other content",
                order=await self._context.find(original_id, request),
            )
        if isinstance(event, CommandRefused):
            raise_refusal(event.code)
        if isinstance(event, CommandRefused) and event.code == "stale_order_id":
            raise not_accepted(
                "the order was refused: the clocks of this gateway and of Kafka differ by more "
                "than five minutes"
            )
        raise RuntimeError(f"an admitted order got the outcome {event!r}")

    def answer_at_once(self, outcome: Outcome, preferences: Preferences) -> Response | None:
        """The answer, where it needs no look-up."""
        event = outcome.event
        if not isinstance(event, OrderAccepted):
            return None
        order = OrderRecord.accepted(event, outcome.time).resource()
        honoured = applied(preferences, pending=False)
        return json_response(201, order, (("Location", location(event.order_id)), *honoured))


def command_of(order: OrderRequest, order_id: str, broker_id: str) -> PlaceOrder:
    """The command of a valid order."""
    until = order.valid_until
    fields = (
        order_id,
        broker_id,
        order.document_number,
        order.symbol,
        order.side,
        order_type_of(order.order_type),
        order.quantity,
        order.price,
        None if until is None else milliseconds(until),
        order.client_order_id,
    )
    in_force = order.time_in_force
    if in_force == default_time_in_force(order_type_of(order.order_type), order.stop_price):
        in_force = None
    conditions = (
        in_force,
        order.post_only,
        order.minimum_quantity,
        order.stop_price,
        order.display_quantity,
        None if order.self_trade_prevention == "none" else order.self_trade_prevention,
    )
    if conditions == _NO_CONDITIONS:
        return PlaceOrder(*fields)
    return EnterOrder(*fields, *conditions)
