"""Shared parts of placing and cancelling: sending a command, and the answer when no outcome arrives
in time. 202: the command log has it. 503: it was not written. 504: unknown.
"""

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from schemas.codec import encode
from schemas.commands import CancelAll, SetInstrument, SetPhase
from schemas.executions import Outcome
from schemas.levels import level_of
from schemas.rest import OrderResource, PendingOrder
from schemas.topics import COMMANDS
from services.api.app import ProblemError, Request, Response, json_response, not_accepted
from services.api.direct import reply_later
from services.api.messages import Reply, order_not_found
from services.api.partition_map import PartitionMap
from services.api.rate_limits import RateLimiter
from services.ingest.lookup import LookupUnavailableError, OrderViews
from services.ingest.prefer import Preferences, applied, parse_prefer
from services.ingest.publish import Delivery, Publisher
from services.ingest.waiters import Waiters

T_contra = TypeVar("T_contra", contravariant=True)

# With more waiting requests than this and no outcomes, requests are answered 202 once they are
# written, so that the memory of a dead matcher's backlog is bounded.
WAITING_MAX = 20_000

_NO_PREFERENCES = Preferences()


class Sent(Struct, frozen=True):
    """A command on its way."""

    order_id: str
    client_order_id: str | None
    delivery: Delivery


class Asked(Struct, frozen=True):
    """A command on its way whose outcome is waited for; None: it does not arrive in time."""

    partition: int
    waiting: Future[Outcome | None]
    delivery: Delivery


class IngestContext(Struct, frozen=True):
    """The parts. `clock` is the wall clock in milliseconds, `randomness` returns random bytes.

    `rules_level`: the level of the rules that the matcher of a partition follows; 0: unknown.
    """

    publisher: Publisher
    waiters: Waiters
    views: OrderViews
    partition_map: PartitionMap
    rate_limiter: RateLimiter
    loop: AbstractEventLoop
    topic_prefix: str
    partitions: int
    outcome_wait_ms: int
    clock: Callable[[], int]
    randomness: Callable[[int], bytes]
    rules_level: Callable[[int], int]

    def require_level(self, partition: int, level: int) -> None:
        """Raises ProblemError (503) unless the partition's matcher follows the rules of a level."""
        if self.rules_level(partition) < level:
            raise not_accepted(
                "the matcher of this symbol is an older version without this feature"
            )

    def wait_ms(self, preferences: Preferences) -> int:
        """Milliseconds that this request may wait for its outcome."""
        if len(self.waiters) > WAITING_MAX:
            return 0
        return preferences.wait_ms(self.outcome_wait_ms)

    def ask(self, partition: int, command: CancelAll | SetInstrument | SetPhase) -> Asked:
        """Send a command whose outcome has its request. Raises ProblemError not_accepted."""
        self.require_level(partition, level_of(command))
        waiting: Future[Outcome | None] = self.loop.create_future()
        request, symbol = command.request, command.symbol
        wait_ms = max(self.outcome_wait_ms, 1)
        on_failure = self.waiters.expect_placed(request, waiting.set_result, wait_ms).end
        topic = COMMANDS.full_name(self.topic_prefix)
        key = None if symbol is None else symbol.encode()
        try:
            delivery = self.publisher.send(topic, partition, key, encode(command), on_failure)
        except BaseException:
            self.waiters.forget_placed(request)
            raise
        return Asked(partition, waiting, delivery)

    async def outcome_of(self, asked: Asked, unknown: str) -> Outcome | None:
        """The outcome; None if the command is stored and its outcome does not arrive in time.

        Raises ProblemError, as soon as the delivery fails: 503, or 504 with this text.
        """
        outcome = await asked.waiting
        if outcome is None:
            await self.require_stored(asked.delivery, unknown)
        return outcome

    async def pending(self, sent: Sent, preferences: Preferences) -> Response:
        """202 once the command is written. Raises ProblemError: 503 or 504."""
        order_id = sent.order_id
        await self.require_stored(
            sent.delivery,
            f"order {order_id} may be in the log or not: look it up, or send the same request "
            "with the same client_order_id again",
        )
        return pending_answer(order_id, sent.client_order_id, preferences)

    async def require_stored(self, delivery: Delivery, unknown: str) -> None:
        """Wait until the log has a command. Raises ProblemError: 503, or 504 with this text."""
        result = await delivery.wait(self.publisher.delivery_timeout_s)
        if result == "not_stored":
            raise not_accepted("Kafka refused the record; nothing was written")
        if result != "stored":
            raise ProblemError("outcome_unknown", unknown)

    async def named(self, symbol: str, client_order_id: str, request: Request) -> str:
        """Id of the caller's newest order with this name. Raises ProblemError: order_not_found,
        or 503 if it is unknown now."""
        try:
            order_id = await self.views.named(symbol, client_order_id, request)
        except LookupUnavailableError:
            raise not_accepted("the order cannot be looked up now; nothing was written") from None
        if order_id is None:
            raise order_not_found()
        return order_id

    async def find(self, order_id: str, request: Request) -> OrderResource | None:
        """The caller's order for the body of an answer; None if it is unavailable."""
        try:
            return await self.views.lookup(order_id, request)
        except LookupUnavailableError:
            return None


class Answering(Protocol[T_contra]):
    """Answers requests with the outcomes of their commands."""

    def answer_at_once(self, outcome: T_contra, preferences: Preferences) -> Response | None:
        """The answer, where it needs no look-up."""

    def answer(
        self, outcome: T_contra, request: Request, preferences: Preferences
    ) -> Coroutine[Any, Any, Response]:
        """The answer, with a look-up where it needs one."""


class OutcomeReply(Generic[T_contra]):
    """One request whose command was sent; its answer follows from the outcome."""

    __slots__ = ("_answering", "_context", "_preferences", "_reply", "_request", "sent")
    sent: Sent

    def __init__(
        self,
        context: IngestContext,
        answering: Answering[T_contra],
        request: Request,
        preferences: Preferences,
        reply: Reply,
    ) -> None:
        self._context = context
        self._answering = answering
        self._request = request
        self._preferences = preferences
        self._reply = reply

    def on_outcome(self, outcome: T_contra | None) -> None:
        """Answer the request; None: no outcome arrived in time, or the delivery failed."""
        preferences, reply = self._preferences, self._reply
        if outcome is None:
            reply_later(self._context.pending(self.sent, preferences), reply)
            return
        try:
            response = self._answering.answer_at_once(outcome, preferences)
        except Exception as error:
            reply(error)
            return
        if response is None:
            reply_later(self._answering.answer(outcome, self._request, preferences), reply)
        else:
            reply(response)


def pending_answer(
    order_id: str, client_order_id: str | None, preferences: Preferences
) -> Response:
    """202: the order's state is to be read later."""
    return json_response(
        202,
        PendingOrder(order_id=order_id, id=order_id, client_order_id=client_order_id),
        (("Location", location(order_id)), *applied(preferences, pending=True)),
    )


def preferences_of(request: Request) -> Preferences:
    """The request's Prefer header."""
    header = request.headers.get("prefer")
    return _NO_PREFERENCES if header is None else parse_prefer(header)


def location(order_id: str) -> str:
    """The URL of an order, for the Location header."""
    return f"/orders/{order_id}"
