"""Orders over a feed session: as by HTTP, carried out in the order of their messages.

A message is carried out without waiting in between, so orders of one session are in the command log
in the order in which they were sent. Answers come as outcomes come.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from schemas.batch import BatchCancel, BatchReplace, BatchResult
from schemas.brokers import Broker
from schemas.feed_requests import (
    FeedBatch,
    FeedCancel,
    FeedCancelAll,
    FeedPlace,
    FeedReplace,
    FeedValidate,
)
from schemas.rest import OrderRequest, ReplaceRequest
from schemas.units import Side
from services.api.messages import Budget, ProblemError, Reply, Response, not_accepted
from services.feeds.replies import result_of
from services.ingest.prefer import Preferences

log = logging.getLogger(__name__)

# Of one session; the bound of the process on requests in flight applies as well.
IN_FLIGHT_MAX: Final = 100
# Orders of a session that are remembered: for cancels by client order id, and for its end.
REMEMBERED_MAX: Final = 10_000
_PENDING: Final = 202
_ERROR: Final = 400


# The id of an order that was looked up, or the error that became of it.
Found = str | Exception
_NamedOrder = FeedCancel | FeedReplace | BatchCancel | BatchReplace


class OrderCalls(Protocol):
    """Placing and cancelling in this process, in the form that sessions use them.

    `process_name`: the beginning of the names of all its sessions.
    """

    process_name: str

    def spend(self, broker_id: str, budget: Budget) -> None:
        """Take a request from a broker's budget. Raises ProblemError (429)."""

    def charge(self, broker_id: str, budget: Budget, tokens: int) -> None:
        """Take more tokens from a broker's budget: an unknown order costs more than a known one."""

    def stop(self) -> None:
        """Refuse every later request: the process stops."""

    def admit(self, body: bytes) -> OrderRequest:
        """The order of a body. Raises ProblemError: malformed_json or invalid."""

    def admit_batch(self, body: bytes) -> list[tuple[str, Any]]:
        """Kind and content of each item. Raises ProblemError: malformed_json or invalid."""

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

    def find(
        self, broker_id: str, symbol: str, client_order_id: str, found: Callable[[Found], None]
    ) -> None:
        """Pass the id of the broker's newest order with this name on, or a ProblemError."""

    def cancel(
        self, order_id: str, broker: Broker, preferences: Preferences, reply: Reply
    ) -> Response | None:
        """Cancel an order; the answer where it is known at once. Raises ProblemError."""

    def cancel_all(
        self, broker_id: str, symbol: str | None, side: Side | None, reply: Reply
    ) -> None:
        """Cancel all orders of a broker, or of a symbol or side. Raises ProblemError."""

    def validate(self, body: bytes) -> Response:
        """The answer for an order that is not placed. Raises ProblemError."""

    def admit_replacement(self, body: bytes) -> ReplaceRequest:
        """The new values of a body. Raises ProblemError: malformed_json or invalid."""

    def replace(
        self,
        order_id: str,
        values: ReplaceRequest,
        broker: Broker,
        preferences: Preferences,
        reply: Reply,
    ) -> None:
        """Replace values of an order. Raises ProblemError."""

    def is_open(self, order_id: str) -> bool | None:
        """State of the order; None if it is not in memory: closed for long, or under way."""

    def withdraw(self, order_id: str, broker_id: str) -> None:
        """Send a cancel without an answer, also of an order whose outcome is under way."""


class OrderEntry:
    """The orders of one session. `name`: gateway, its boot, and a number there."""

    def __init__(self, calls: OrderCalls, name: str) -> None:
        self.name = name
        self._calls = calls
        # True: `end` cancels the orders of this session.
        self.cancels_at_end = False
        # Requests without a response.
        self.in_flight = 0
        # Orders of this session that may be open; True while the outcome is under way.
        self._placed: dict[str, bool] = {}
        # By symbol and client order id.
        self._by_name: dict[tuple[str, str], str] = {}
        # By the id of a repetition, which is no order: the order that it repeats.
        self._repeated: dict[str, str] = {}
        self._forget_at = REMEMBERED_MAX

    def place(self, message: FeedPlace, broker: Broker, reply: Reply) -> None:
        """Place an order; `reply` receives the answer. Raises ProblemError: it was not admitted."""
        self._calls.spend(broker.broker_id, "orders")
        self._require_room(1)
        order = self._calls.admit(bytes(message.order))
        if order.client_order_id is None:
            raise ProblemError("invalid", "an order by WebSocket needs a client_order_id")
        self._send(order, broker, Preferences(message.respond == "stored", message.wait_s), reply)

    def batch(
        self, message: FeedBatch, broker: Broker, reply: Callable[[list[BatchResult]], None]
    ) -> None:
        """Carry out the items in their order; `reply` receives the results once all are
        known. Raises ProblemError: nothing was admitted."""
        try:
            items = self._calls.admit_batch(b'{"items":%b}' % bytes(message.items))
        except ProblemError:
            # Reading it is work too.
            self._calls.spend(broker.broker_id, "orders")
            raise
        self._require_room(len(items))
        preferences = Preferences(message.respond == "stored", message.wait_s)
        answers: dict[int, BatchResult] = {}

        def keep(number: int, answer: Response | Exception) -> None:
            answers[number] = result_of(answer)
            if len(answers) == len(items):
                reply([answers[each] for each in range(len(items))])

        for number, (kind, content) in enumerate(items):
            kept = partial(keep, number)
            try:
                self._calls.spend(broker.broker_id, "cancels" if kind == "cancel" else "orders")
                if kind == "place":
                    self._send(content, broker, preferences, kept)
                elif kind == "replace":
                    change = partial(self._change, content, broker, preferences)
                    counted = self._counted(kept, broker, "orders")
                    self._find(content, broker, partial(self._carry_out, change, counted))
                else:
                    withdraw = partial(self._withdraw, broker, preferences)
                    counted = self._counted(kept, broker, "cancels")
                    self._find(content, broker, partial(self._carry_out, withdraw, counted))
            except ProblemError as problem:
                kept(problem)

    def _send(
        self, order: OrderRequest, broker: Broker, preferences: Preferences, reply: Reply
    ) -> None:
        name = (order.symbol, str(order.client_order_id))
        counted = self._counted(reply, broker, "orders")
        order_id = ""

        def answered(answer: Response | Exception) -> None:
            self._settle(order_id, name, answer)
            counted(answer)

        try:
            order_id = self._calls.place(
                order, broker, preferences, answered, ends_with_session=self.cancels_at_end
            )
        except ProblemError as problem:
            counted(problem)
            return
        self._placed[order_id] = True
        # Until it is answered, a repeated order goes by the id of the first attempt.
        self._by_name.setdefault(name, order_id)
        if max(len(self._placed), len(self._by_name), len(self._repeated)) > self._forget_at:
            self._forget_closed()

    def _settle(self, order_id: str, name: tuple[str, str], answer: Response | Exception) -> None:
        """Note which order has this name now: a repeat has an id of its own, which is no order."""
        if isinstance(answer, ProblemError) and answer.code == "outcome_unknown":
            return
        found, status = "", 0
        if isinstance(answer, Response) and answer.status < _ERROR:
            found, status = (
                dict(answer.headers).get("Location", "").rpartition("/")[2],
                answer.status,
            )
        if found != order_id:
            self._placed.pop(order_id, None)
        elif status != _PENDING:
            self._placed[order_id] = False
        if found:
            self._by_name[name] = found
            if found != order_id:
                self._repeated[order_id] = found
        elif self._by_name.get(name) == order_id:
            del self._by_name[name]

    def cancel(self, message: FeedCancel, broker: Broker, reply: Reply) -> None:
        """Cancel an order; `reply` receives the answer. Raises ProblemError: it was not
        admitted."""
        self._calls.spend(broker.broker_id, "cancels")
        self._require_room(1)
        withdraw = partial(self._withdraw, broker, Preferences(wait_s=message.wait_s))
        counted = self._counted(reply, broker, "cancels")
        self._find(message, broker, partial(self._carry_out, withdraw, counted))

    def _withdraw(
        self, broker: Broker, preferences: Preferences, order_id: str, reply: Reply
    ) -> None:
        def answered(answer: Response | Exception) -> None:
            first = self._repeated.get(order_id)
            if first and isinstance(answer, ProblemError) and answer.code == "order_not_found":
                # It was sent before it was known that the session only repeats the order.
                withdraw = partial(self._withdraw, broker, preferences)
                self._carry_out(withdraw, reply, first)
            else:
                reply(answer)

        answer = self._calls.cancel(order_id, broker, preferences, answered)
        if answer is not None:
            reply(answer)

    def cancel_all(self, message: FeedCancelAll, broker: Broker, reply: Reply) -> None:
        """Cancel all orders of the broker; `reply` receives the answer. Raises ProblemError: it was
        not admitted."""
        self._calls.spend(broker.broker_id, "cancels")
        self._require_room(1)
        counted = self._counted(reply, broker, "cancels")
        try:
            self._calls.cancel_all(broker.broker_id, message.symbol, message.side, counted)
        except ProblemError as problem:
            counted(problem)

    def validate(self, message: FeedValidate, broker: Broker, reply: Reply) -> None:
        """Check an order. Raises ProblemError: it is not acceptable."""
        self._calls.spend(broker.broker_id, "orders")
        reply(self._calls.validate(bytes(message.order)))

    def replace(self, message: FeedReplace, broker: Broker, reply: Reply) -> None:
        """Replace values of an order; `reply` receives the answer. Raises ProblemError: it was not
        admitted."""
        self._calls.spend(broker.broker_id, "orders")
        self._require_room(1)
        values = self._calls.admit_replacement(bytes(message.values))
        change = partial(self._change, values, broker, Preferences(wait_s=message.wait_s))
        counted = self._counted(reply, broker, "orders")
        self._find(message, broker, partial(self._carry_out, change, counted))

    def _change(
        self,
        values: ReplaceRequest,
        broker: Broker,
        preferences: Preferences,
        order_id: str,
        reply: Reply,
    ) -> None:
        if self._placed.get(order_id) and self._calls.is_open(order_id) is None:
            # Waiting for it would let later messages of the session overtake this one.
            raise not_accepted("the order has no outcome yet")
        self._calls.replace(order_id, values, broker, preferences, reply)

    def withdraw_all(self, broker_id: str) -> None:
        """Cancel every order of this session that is not known to be closed.

        Orders whose outcome is under way are cancelled too: the cancel is behind them in the log.
        """
        withdrawn = list(filter(self._may_be_open, self._placed))
        for order_id in withdrawn:
            self._calls.withdraw(order_id, broker_id)
        if withdrawn:
            fields = {"session": self.name, "broker_id": broker_id, "orders": len(withdrawn)}
            log.info("orders of an ended session are cancelled", extra={"fields": fields})
        self.forget()

    def forget(self) -> None:
        """Leave the orders of this session in the market, as far as this process lives."""
        self._placed.clear()
        self._by_name.clear()
        self._repeated.clear()

    def _require_room(self, requests: int) -> None:
        if self.in_flight + requests > IN_FLIGHT_MAX:
            raise ProblemError(
                "rate_limited", f"at most {IN_FLIGHT_MAX} orders and changes may wait for answers"
            )

    def _counted(self, reply: Reply, broker: Broker, budget: Budget) -> Reply:
        self.in_flight += 1

        def counted(answer: Response | Exception) -> None:
            self.in_flight -= 1
            if isinstance(answer, ProblemError) and answer.tokens:
                self._calls.charge(broker.broker_id, budget, answer.tokens)
            reply(answer)

        return counted

    def _find(self, named: _NamedOrder, broker: Broker, found: Callable[[Found], None]) -> None:
        """Pass the id of the order that this names on: at once, unless it has to be read."""
        if isinstance(named.order_id, str):
            found(named.order_id)
            return
        if not named.symbol or not named.client_order_id:
            detail = "name the order: order_id, or symbol and client_order_id"
            found(ProblemError("invalid", detail))
            return
        # An order of this session may be under way, so that nothing else knows it.
        own = self._by_name.get((named.symbol, named.client_order_id))
        if own is not None:
            found(own)
            return
        try:
            self._calls.find(broker.broker_id, named.symbol, named.client_order_id, found)
        except ProblemError as problem:
            found(problem)

    def _carry_out(
        self, change: Callable[[str, Reply], None], counted: Reply, order: Found
    ) -> None:
        if isinstance(order, Exception):
            counted(order)
            return
        try:
            change(order.lower(), counted)
        except ProblemError as problem:
            counted(problem)

    def _may_be_open(self, order_id: str) -> bool:
        is_open = self._calls.is_open(order_id)
        # Views have an order before its request is answered: one that is gone was closed.
        return self._placed.get(order_id, False) if is_open is None else is_open

    def _forget_closed(self) -> None:
        self._repeated.clear()
        by_name = self._by_name.items()
        self._by_name = {name: each for name, each in by_name if self._may_be_open(each)}
        self._placed = {
            each: under_way for each, under_way in self._placed.items() if self._may_be_open(each)
        }
        # All of them may be open: looking at each again with every order would be slow.
        self._forget_at = max(REMEMBERED_MAX, 2 * max(len(self._placed), len(self._by_name)))
