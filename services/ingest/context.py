"""Shared parts of placing and cancelling: sending a command, and the answer when no outcome arrives
in time. 202: the command log has it. 503: it was not written. 504: unknown.
"""

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec import Struct

from schemas.rest import OrderResource, PendingOrder
from services.api.app import ProblemError, Request, Response, json_response, not_accepted
from services.api.partition_map import PartitionMap
from services.api.rate_limits import RateLimiter
from services.ingest.lookup import Lookup, LookupUnavailableError
from services.ingest.prefer import Preferences, applied, parse_prefer
from services.ingest.publish import Delivery, Publisher
from services.ingest.waiters import Waiters

T = TypeVar("T")

# With more waiting requests than this and no outcomes, requests are answered 202 once they are
# written, so that the memory of a dead matcher's backlog is bounded.
WAITING_MAX = 20_000

_NO_PREFERENCES = Preferences()


class Sent(Struct, Generic[T], frozen=True):
    """A command on its way, and the future of its outcome. `forget` releases the future."""

    order_id: str
    client_order_id: str | None
    waiting: "Future[T | None]"
    delivery: Delivery
    forget: Callable[[], None]


class IngestContext(Struct, frozen=True):
    """The parts. `clock` is the wall clock in milliseconds, `randomness` returns random bytes."""

    publisher: Publisher
    waiters: Waiters
    lookup: Lookup
    partition_map: PartitionMap
    rate_limiter: RateLimiter
    loop: AbstractEventLoop
    topic_prefix: str
    partitions: int
    outcome_wait_ms: int
    clock: Callable[[], int]
    randomness: Callable[[int], bytes]

    def wait_ms(self, preferences: Preferences) -> int:
        """Seconds that this request may wait for its outcome."""
        if len(self.waiters) > WAITING_MAX:
            return 0
        return preferences.wait_ms(self.outcome_wait_ms)

    async def outcome(self, future: "Future[T]", wait_ms: int) -> T | None:
        """The outcome; None if it does not arrive in time."""
        if wait_ms == 0:
            return None
        timer = self.loop.call_later(wait_ms / 1000, _give_up, future)
        try:
            return await future
        finally:
            timer.cancel()

    async def pending(self, sent: Sent[Any], preferences: Preferences) -> Response:
        """202 once the command is written. Raises ProblemError: 503 or 504."""
        await self._require_stored(sent.delivery, sent.order_id)
        order_id = sent.order_id
        return json_response(
            202,
            PendingOrder(order_id=order_id, id=order_id, client_order_id=sent.client_order_id),
            (("Location", location(order_id)), *applied(preferences, pending=True)),
        )

    async def _require_stored(self, delivery: Delivery, order_id: str) -> None:
        result = await delivery.wait(self.publisher.delivery_timeout_s)
        if result == "not_stored":
            raise not_accepted("the log refused it; nothing was written")
        if result != "stored":
            raise ProblemError(
                "outcome_unknown",
                f"order {order_id} may be in the log or not: look it up, or send the same request "
                "with the same client_order_id again",
            )

    async def find(self, order_id: str, request: Request) -> OrderResource | None:
        """The caller's order for the body of an answer; None if it is unavailable."""
        try:
            return await self.lookup(order_id, request)
        except LookupUnavailableError:
            return None


def _give_up(future: "Future[Any]") -> None:
    if not future.done():
        future.set_result(None)


def preferences_of(request: Request) -> Preferences:
    """The request's Prefer header."""
    header = request.headers.get("prefer")
    return _NO_PREFERENCES if header is None else parse_prefer(header)


def location(order_id: str) -> str:
    """The URL of an order, for the Location header."""
    return f"/orders/{order_id}"
