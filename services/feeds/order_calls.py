"""Placing, cancelling and replacing by ingest's own handlers, for sessions in the same process."""

import logging
import time
from collections.abc import Callable
from typing import Protocol

from schemas.brokers import Broker
from schemas.orders import OrderRecord
from schemas.rest import OrderRequest, ReplaceRequest
from schemas.units import Side
from services.api.direct import awaited, reply_later
from services.api.messages import (
    Budget,
    ProblemError,
    Reply,
    Request,
    Response,
    not_accepted,
    order_not_found,
)
from services.feeds.left_orders import GatewayProcess
from services.feeds.order_entry import Found
from services.ingest.admission import admit, admit_replacement
from services.ingest.app import Ingest
from services.ingest.app_cancel import closed
from services.ingest.app_cancel_all import OrderFilter
from services.ingest.app_place import PlaceOrderHandler
from services.ingest.app_replace import require_replaceable
from services.ingest.batch_admission import Item, admit_batch
from services.ingest.order_ids import SessionIds
from services.ingest.prefer import Preferences

log = logging.getLogger(__name__)


class NamedOrders(Protocol):
    """A broker's newest order of a symbol with a client order id; None: there is none."""

    def named_at_hand(
        self, broker_id: str, symbol: str, client_order_id: str
    ) -> OrderRecord | None:
        """Of those in memory."""

    async def named(self, broker_id: str, symbol: str, client_order_id: str) -> OrderRecord | None:
        """Of all whose commands are in the log. Raises ProblemError (503)."""


class GatewayOrders:
    """The orders of all sessions. `refusal`: why calls that write are refused now, or None.

    Ids of orders that end with their session name `process`.
    """

    def __init__(
        self,
        ingest: Ingest,
        refusal: Callable[[], str | None],
        process: GatewayProcess,
        named: NamedOrders,
    ) -> None:
        self.process_name = process.name
        self._refusal = refusal
        self._ingest = ingest
        self._named = named
        self._context = ingest.context
        self._placing_for_session = PlaceOrderHandler(ingest.context, SessionIds(process.origin))

    def spend(self, broker_id: str, budget: Budget) -> None:
        """Take a request from a broker's budget. Raises ProblemError: 429, or 503 while a
        revoked key may not be known here."""
        reason = self._refusal()
        if reason is not None:
            raise not_accepted(reason)
        self._context.rate_limiter.spend(broker_id, budget, time.monotonic())

    def stop(self) -> None:
        """Refuse every later request: the process stops."""
        self._refusal = lambda: "the exchange is stopping; nothing was written"

    def charge(self, broker_id: str, budget: Budget, tokens: int) -> None:
        """Take more tokens from a broker's budget, also those that have yet to grow."""
        self._context.rate_limiter.charge(broker_id, budget, tokens, time.monotonic())

    def admit(self, body: bytes) -> OrderRequest:
        """The order of a body. Raises ProblemError: malformed_json or invalid."""
        return admit(body, self._context.clock())

    def admit_batch(self, body: bytes) -> list[Item]:
        """Kind and content of each item. Raises ProblemError: malformed_json or invalid."""
        return admit_batch(body, self._context.clock())

    def place(
        self,
        order: OrderRequest,
        broker: Broker,
        preferences: Preferences,
        reply: Reply,
        *,
        ends_with_session: bool,
    ) -> str:
        """Send an order and return its id. Raises ProblemError (503): it was not sent."""
        request = Request(method="POST", broker=broker)
        placing = self._placing_for_session if ends_with_session else self._ingest.placing
        return placing.submit(order, request, preferences, reply)

    def find(
        self, broker_id: str, symbol: str, client_order_id: str, found: Callable[[Found], None]
    ) -> None:
        """Pass the id of the broker's newest order with this name on: at once if it is in memory,
        else later, or the ProblemError: order_not_found, or 503."""
        order = self._named.named_at_hand(broker_id, symbol, client_order_id)
        if order is not None:
            found(order.order_id)
            return
        reply_later(self._found(broker_id, symbol, client_order_id), found)

    async def _found(self, broker_id: str, symbol: str, client_order_id: str) -> str:
        order = await self._named.named(broker_id, symbol, client_order_id)
        if order is None:
            raise order_not_found()
        return order.order_id

    def cancel(
        self, order_id: str, broker: Broker, preferences: Preferences, reply: Reply
    ) -> Response | None:
        """Cancel an order; the answer where it is known at once. Raises ProblemError.

        An order that is not in memory may be under way: the matcher decides, in the log's order.
        """
        request = Request(method="POST", broker=broker, parameters={"order_id": order_id})
        cancelling = self._ingest.cancelling
        partition = cancelling.partition(request)
        order = self._context.views.at_hand(order_id)
        if order is not None and order.broker_id != broker.broker_id:
            raise order_not_found()
        if order is not None and order.closed_reason is not None:
            return closed(order.resource(), preferences)
        client_order_id = None if order is None else order.client_order_id
        cancelling.begin(partition, client_order_id, request, preferences, reply)
        return None

    def cancel_all(
        self, broker_id: str, symbol: str | None, side: Side | None, reply: Reply
    ) -> None:
        """Cancel all orders of a broker, or of a symbol or side. Raises ProblemError."""
        # The commands are sent now, behind those of the session's earlier messages.
        answer = self._ingest.cancelling_all.begin(OrderFilter(broker_id, symbol, side))
        reply_later(answer, reply)

    def validate(self, body: bytes) -> Response:
        """The answer for an order that is not placed. Raises ProblemError."""
        return self._ingest.valid(body)

    def admit_replacement(self, body: bytes) -> ReplaceRequest:
        """The new values of a body. Raises ProblemError: malformed_json or invalid."""
        return admit_replacement(body, self._context.clock())

    def replace(
        self,
        order_id: str,
        values: ReplaceRequest,
        broker: Broker,
        preferences: Preferences,
        reply: Reply,
    ) -> None:
        """Replace values of an order. Raises ProblemError.

        The command names the quantity that it replaces, so an order that is not in memory is looked
        up first.
        """
        request = Request(method="POST", broker=broker, parameters={"order_id": order_id})
        self._ingest.cancelling.partition(request)
        record = self._context.views.at_hand(order_id)
        if record is None:
            reply_later(self._replaced(values, request, preferences), reply)
            return
        if record.broker_id != broker.broker_id:
            raise order_not_found()
        order = record.resource()
        require_replaceable(order, values)
        self._ingest.replacing.begin(values, order, request, preferences, reply)

    async def _replaced(
        self, values: ReplaceRequest, request: Request, preferences: Preferences
    ) -> Response:
        replacing = self._ingest.replacing
        order = await replacing.find(values, request)

        def begin(request: Request, reply: Reply) -> None:
            replacing.begin(values, order, request, preferences, reply)

        return await awaited(begin)(request)

    def is_open(self, order_id: str) -> bool | None:
        """State of the order; None if it is not in memory: closed for long, or under way."""
        order = self._context.views.at_hand(order_id)
        return None if order is None else order.closed_reason is None

    def withdraw(self, order_id: str, broker_id: str) -> None:
        """Send a cancel without an answer, also of an order whose outcome is under way."""
        try:
            self._ingest.cancelling.withdraw(order_id, broker_id)
        except ProblemError as problem:
            # The order stays: the log does not take commands now.
            fields = {"order_id": order_id, "reason": problem.detail}
            log.warning("order of an ended session is not cancelled", extra={"fields": fields})
