"""Checks that every call passes before its handler runs: key, rate limit, Accept header.

The edge and the FastAPI dependencies call the same object, so both refuse in the same order.
"""

import logging
import time
from collections.abc import Mapping

from schemas.brokers import Broker
from services.api.brokers import BrokerDirectory, Caller
from services.api.freshness import BrokersFreshness
from services.api.headers import accepts_json, bearer_key
from services.api.messages import NOBODY, Budget, ProblemError, Response, Route, Scope, not_accepted
from services.api.rate_limits import RateLimiter
from services.runtime.clock import now_ms

log = logging.getLogger(__name__)


# Every so many bytes of an answer count as one more request: encoding them takes about as long.
CHARGED_BYTES = 4 * 1024


class RequestChecks:
    """The broker directory, the rate limiter, and whether the process accepts calls now."""

    def __init__(self, directory: BrokerDirectory, rate_limiter: RateLimiter) -> None:
        self._directory = directory
        self._rate_limiter = rate_limiter
        self._refusal: ProblemError | None = None
        self._freshness: BrokersFreshness | None = None
        self._market_is_open = False

    def refuse(self, reason: str, *, close: bool = False) -> None:
        """Answer 503 to every call that needs a key, before the key is checked."""
        self._refusal = not_accepted(reason, close=close)

    def accept(self) -> None:
        """Accept calls again."""
        self._refusal = None

    def require_fresh(self, freshness: BrokersFreshness) -> None:
        """Refuse calls that need a key while a revocation may be unknown here."""
        self._freshness = freshness

    def open_market(self) -> None:
        """Answer calls about the market without a key too."""
        self._market_is_open = True

    def admit(self, call: Route, scope: Scope, headers: Mapping[str, str]) -> Broker:
        """The calling broker; NOBODY for the admin, for open calls, and for a call about an open
        market that has no Authorization header.

        An open call is charged to its address, unless it has a valid key.

        Raises ProblemError: 503, 401, 403, 429 or 406, checked in this order. A request with an
        unacceptable Accept header still counts against the rate limit.
        """
        if call.who == "anyone":
            return self.admit_open(scope, headers)
        if self._refusal is not None:
            raise self._refusal
        if self._freshness is not None:
            reason = self._freshness.refusal(writes=call.method != "GET")
            if reason is not None:
                raise not_accepted(reason)
        if call.who == "market" and self._market_is_open and "authorization" not in headers:
            broker = self.admit_open(scope, headers)
        else:
            broker = self._authenticated(call, scope, headers)
        if broker is not NOBODY:
            self._rate_limiter.spend(broker.broker_id, _budget(call), time.monotonic())
        if not accepts_json(headers.get("accept", "")):
            raise ProblemError("not_acceptable", "answers are application/json")
        return broker

    def charge_size(self, call: Route, broker: Broker, size: int) -> None:
        """Charge an answer of so many bytes, if it is large."""
        if size >= CHARGED_BYTES:
            self.charge(call, broker, size // CHARGED_BYTES)

    def charge(self, call: Route, broker: Broker, tokens: int) -> None:
        """Charge an answer that cost as much as so many requests more."""
        self._rate_limiter.charge(broker.broker_id, _budget(call), tokens, time.monotonic())

    def spent_keyless(self, address: str) -> ProblemError | None:
        """429 for a request without any key, where its address has spent its budget."""
        return self._rate_limiter.spent_keyless(address, time.monotonic())

    def charge_keyless(self, scope: Scope, tokens: int) -> None:
        """Charge an address for a large answer to a request that needs no key."""
        self._rate_limiter.charge_keyless(_address(scope), tokens, time.monotonic())

    def admit_open(self, scope: Scope, headers: Mapping[str, str]) -> Broker:
        """NOBODY, for a request that needs no key. Raises ProblemError (429)."""
        if self._caller(scope, headers) is None:
            self._rate_limiter.spend_keyless(_address(scope), time.monotonic())
        return NOBODY

    def _caller(self, scope: Scope, headers: Mapping[str, str]) -> Caller | None:
        key = bearer_key(headers.get("authorization", ""))
        caller = None if key is None else self._directory.caller(key, now_ms())
        if caller is not None:
            # Connections that never showed a valid key are closed first when there are too many.
            connection = scope.get("connection")
            if connection is not None and not connection.keyed:
                connection.show_key()
        return caller

    def _authenticated(self, call: Route, scope: Scope, headers: Mapping[str, str]) -> Broker:
        caller = self._caller(scope, headers)
        if caller is None:
            raise self._rate_limiter.unauthenticated(_address(scope), time.monotonic())
        if isinstance(caller, Broker):
            if call.who in ("broker", "market"):
                return caller
            raise ProblemError("forbidden", "this call needs the admin key")
        if call.who == "admin":
            return NOBODY
        raise ProblemError("forbidden", "this call needs a broker's key, not the admin key")


def _budget(call: Route) -> Budget:
    return call.budget or ("reads" if call.method == "GET" else "orders")


def _address(scope: Scope) -> str:
    # The connection's address: a client can write any header it likes.
    client = scope.get("client")
    return client[0] if client else ""


def internal_error(error: Exception, request_id: str, route: str) -> Response:
    """500. The traceback goes to the service log, never to the client."""
    log.error(
        "request failed",
        exc_info=error,
        extra={"fields": {"request_id": request_id, "route": route}},
    )
    detail = "search the service log for the request id"
    return ProblemError("internal_error", detail).response(request_id)
