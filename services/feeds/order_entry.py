"""Orders over a feed session: placed and cancelled as by HTTP, in the order of their messages.

A message is carried out without waiting in between, so orders of one session are in the command log
in the order in which they were sent. Answers come as outcomes come.
"""

from typing import Final, Protocol

from schemas.brokers import Broker
from schemas.feed import FeedCancel, FeedPlace
from schemas.rest import OrderRequest
from services.api.messages import Budget, ProblemError, Reply, Response
from services.ingest.prefer import Preferences

# Of one session; the bound of the process on requests in flight applies as well.
IN_FLIGHT_MAX: Final = 100
# Orders of a session that are remembered: for cancels by client order id, and for its end.
REMEMBERED_MAX: Final = 10_000


class OrderCalls(Protocol):
    """Placing and cancelling in this process, in the form that sessions use them."""

    def spend(self, broker_id: str, budget: Budget) -> None:
        """Take a request from a broker's budget. Raises ProblemError (429)."""

    def admit(self, body: bytes) -> OrderRequest:
        """The order of a body. Raises ProblemError: malformed_json or invalid."""

    def place(
        self, order: OrderRequest, broker: Broker, preferences: Preferences, reply: Reply
    ) -> str:
        """Send an order and return its id. Raises ProblemError (503): it was not sent."""

    def cancel(
        self, order_id: str, broker: Broker, preferences: Preferences, reply: Reply
    ) -> Response | None:
        """Cancel an order; the answer where it is known at once. Raises ProblemError."""

    def is_closed(self, order_id: str) -> bool:
        """True if the order is known to be closed."""

    def withdraw(self, order_id: str, broker_id: str) -> None:
        """Send a cancel without an answer, also of an order whose outcome is under way."""


class OrderEntry:
    """The orders of one session."""

    def __init__(self, calls: OrderCalls) -> None:
        self._calls = calls
        self._in_flight = 0
        # By symbol and client order id, oldest first.
        self._order_ids: dict[tuple[str, str], str] = {}

    def place(self, message: FeedPlace, broker: Broker, reply: Reply) -> None:
        """Place an order; `reply` receives the answer. Raises ProblemError: it was not admitted."""
        self._require_room()
        self._calls.spend(broker.broker_id, "orders")
        order = self._calls.admit(bytes(message.order))
        if order.client_order_id is None:
            raise ProblemError("invalid", "an order by WebSocket needs a client_order_id")
        preferences = Preferences(message.respond == "stored", message.wait_s)
        name = (order.symbol, order.client_order_id)
        counted = self._counted(reply)
        try:
            order_id = self._calls.place(order, broker, preferences, counted)
        except ProblemError as problem:
            counted(problem)
            return
        # A retry has an id of its own, which the engine drops: the first one is the order's.
        self._order_ids.setdefault(name, order_id)
        if len(self._order_ids) > REMEMBERED_MAX:
            self._forget_closed()

    def cancel(self, message: FeedCancel, broker: Broker, reply: Reply) -> None:
        """Cancel an order; `reply` receives the answer. Raises ProblemError: it was not
        admitted."""
        self._require_room()
        self._calls.spend(broker.broker_id, "cancels")
        counted = self._counted(reply)
        preferences = Preferences(wait_s=message.wait_s)
        try:
            answer = self._calls.cancel(self._order_id(message), broker, preferences, counted)
        except ProblemError as problem:
            counted(problem)
            return
        if answer is not None:
            counted(answer)

    def withdraw_all(self, broker_id: str) -> None:
        """Cancel every order of this session that is not known to be closed.

        Orders whose outcome is under way are cancelled too: the cancel is behind them in the log.
        """
        for order_id in self._order_ids.values():
            if not self._calls.is_closed(order_id):
                self._calls.withdraw(order_id, broker_id)
        self._order_ids.clear()

    def forget(self) -> None:
        """Leave the orders of this session in the market."""
        self._order_ids.clear()

    def _require_room(self) -> None:
        if self._in_flight >= IN_FLIGHT_MAX:
            raise ProblemError(
                "rate_limited", f"at most {IN_FLIGHT_MAX} orders and cancels may wait for answers"
            )

    def _counted(self, reply: Reply) -> Reply:
        self._in_flight += 1

        def counted(answer: Response | Exception) -> None:
            self._in_flight -= 1
            reply(answer)

        return counted

    def _order_id(self, message: FeedCancel) -> str:
        if message.order_id is not None:
            return message.order_id.lower()
        if message.symbol is None or message.client_order_id is None:
            raise ProblemError("invalid", "name the order: order_id, or symbol and client_order_id")
        order_id = self._order_ids.get((message.symbol, message.client_order_id))
        if order_id is None:
            raise ProblemError("order_not_found", "this connection placed no such order")
        return order_id

    def _forget_closed(self) -> None:
        self._order_ids = {
            name: order_id
            for name, order_id in self._order_ids.items()
            if not self._calls.is_closed(order_id)
        }
