"""Request, response, problem and the table entry of a call.

No I/O and no framework: a handler takes a Request and returns a Response or raises a ProblemError.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct

from schemas.brokers import Broker
from schemas.rest import FieldFault, OrderResource, Problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[str, str], ...]
Budget = Literal["orders", "cancels", "reads", "webhooks", "secrets"]

# The largest acceptable order is under 1 KiB; more is a mistake or an attack.
BODY_BYTES_MAX: Final = 4 * 1024
# Statuses whose answers have neither a body nor a Content-Type.
BODILESS: Final = frozenset({204, 304})
PROBLEM_CONTENT_TYPE = "application/problem+json"
NOBODY: Final = Broker(broker_id="", name="", api_key_hash="", created_at=0)
# Requests that one for an unknown order counts for: PostgreSQL and Kafka were asked for it.
UNKNOWN_ORDER_TOKENS: Final = 10

encode: Final = msgspec.json.Encoder().encode


class Request(Struct, frozen=True):
    """One request that passed the edge. `headers` has lower-case names.

    `broker` is the caller; NOBODY unless the call is a broker's. `authorization` is the header.
    """

    method: str = "GET"
    parameters: dict[str, str] = {}
    query: dict[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""
    broker: Broker = NOBODY
    authorization: str = ""
    request_id: str = ""

    def identifier(self, name: str) -> str:
        """An id of the path as it was issued: its hexadecimal digits may arrive in capitals
        (RFC 9562 4)."""
        return self.parameters[name].lower()


class Response(Struct, frozen=True):
    """An answer; the edge adds the request id and the length."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    content_type: str = "application/json"


def json_response(status: int, body: Struct, headers: Headers = ()) -> Response:
    """A JSON answer."""
    return Response(status, encode(body), headers)


# Receives the answer of a request, or the error that became of it; called once.
Reply = Callable[[Response | Exception], None]
# Returns the answer, or None and passes it to `Reply` later. May raise ProblemError.
DirectHandler = Callable[[Request, Reply], Response | None]


class ProblemKind(Struct, frozen=True):
    """Meaning of a problem code. `retryable`: the same request can succeed and does no harm."""

    status: int
    title: str
    retryable: bool = False


# A 504 is not retryable by itself: only a client order id makes a repetition harmless.
PROBLEMS: Final = {
    "malformed_request": ProblemKind(400, "This is not HTTP"),
    "malformed_json": ProblemKind(400, "The body is not JSON"),
    "unauthenticated": ProblemKind(401, "The key is missing, unknown or revoked"),
    "forbidden": ProblemKind(403, "This key may not do this"),
    "not_found": ProblemKind(404, "Not found"),
    "order_not_found": ProblemKind(404, "This broker has no such order"),
    "no_trades": ProblemKind(404, "No trade yet"),
    "method_not_allowed": ProblemKind(405, "The method is not allowed here"),
    "not_acceptable": ProblemKind(406, "Answers are JSON"),
    "request_timeout": ProblemKind(408, "The request did not arrive in time", retryable=True),
    "too_late_to_cancel": ProblemKind(409, "The order is closed already"),
    "not_amendable": ProblemKind(409, "The order cannot be replaced"),
    "too_late_to_replace": ProblemKind(409, "The order is closed already"),
    "client_order_id_reused": ProblemKind(409, "The client order id belongs to another order"),
    "too_many_open_orders": ProblemKind(409, "This broker has too many open orders"),
    "too_many_symbols": ProblemKind(409, "This broker has opened too many order books"),
    "too_many_client_order_ids": ProblemKind(409, "This broker has used too many client order ids"),
    "request_id_in_flight": ProblemKind(409, "An operation with this id waits for its response"),
    "book_too_deep": ProblemKind(409, "The book has too many levels to be sent as a whole"),
    "market_halted": ProblemKind(409, "The market of the symbol is halted"),
    "market_closed": ProblemKind(409, "The market of the symbol is closed"),
    "phase_differs": ProblemKind(409, "The symbol is in another phase"),
    "needs_instrument": ProblemKind(409, "The symbol has no instrument"),
    "stop_would_trigger": ProblemKind(409, "The stop price is reached already"),
    "post_only_would_trade": ProblemKind(409, "A post-only order would trade at once"),
    "outside_price_band": ProblemKind(409, "The price is outside the symbol's price band"),
    "body_too_large": ProblemKind(413, "The body is too large"),
    "unsupported_media_type": ProblemKind(415, "The body must be plain JSON"),
    "invalid": ProblemKind(422, "The request is not acceptable"),
    "head_too_large": ProblemKind(431, "The headers of the request are too large"),
    "rate_limited": ProblemKind(429, "Too many requests", retryable=True),
    "internal_error": ProblemKind(500, "Internal error of the exchange"),
    "not_accepted": ProblemKind(503, "Not accepted; nothing took effect", retryable=True),
    "outcome_unknown": ProblemKind(504, "The outcome is unknown"),
}


class ProblemError(Exception):
    """Ends a request with a problem. `code` is one of PROBLEMS, which has its status.

    `delay_s`: how long the edge holds the answer back. `tokens`: how many requests more it counts
    for in the caller's budget, because finding out was expensive.
    """

    tokens = 0

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: list[FieldFault] | None = None,
        order: OrderResource | None = None,
        headers: Headers = (),
        delay_s: float = 0.0,
    ) -> None:
        super().__init__(detail)
        self.status = PROBLEMS[code].status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.order = order
        self.headers = headers
        self.delay_s = delay_s

    def costing(self, tokens: int) -> "ProblemError":
        """Itself, with `tokens`."""
        self.tokens = tokens
        return self

    def problem(self, request_id: str) -> Problem:
        """As RFC 9457 writes it."""
        kind = PROBLEMS[self.code]
        return Problem(
            type=f"urn:exchange:problem:{self.code}",
            title=kind.title,
            status=self.status,
            detail=self.detail,
            code=self.code,
            retryable=kind.retryable,
            request_id=request_id,
            errors=UNSET if self.errors is None else self.errors,
            order=UNSET if self.order is None else self.order,
        )

    def response(self, request_id: str) -> Response:
        """The HTTP answer with the problem as its body."""
        body = encode(self.problem(request_id))
        return Response(self.status, body, self.headers, PROBLEM_CONTENT_TYPE)


def order_not_found() -> ProblemError:
    """404: the id names no order of the caller."""
    return ProblemError("order_not_found", "this broker has no order with this id").costing(
        UNKNOWN_ORDER_TOKENS
    )


def not_accepted(detail: str, *, close: bool = False) -> ProblemError:
    """503: certainly without effect, safe to send again after a second."""
    headers: Headers = (("Retry-After", "1"),)
    return ProblemError(
        "not_accepted",
        detail,
        headers=(*headers, ("Connection", "close")) if close else headers,
    )


class Parameter(Struct, frozen=True):
    """A query or header parameter as documented; path parameters follow from the path."""

    name: str
    where: Literal["query", "header"]
    schema: dict[str, Any]
    description: str
    required: bool = False


class Route(Struct, frozen=True):
    """One call of the API: method, path, required key, body and answers.

    `who`: `market` is a broker, or anyone without a key where market data is open to all.
    `path` names its parameters in braces. `answers` has the body struct of every success status,
    or `str` for a text of `text_type`.
    `problems` are the codes that the handler itself raises; the checks before it add theirs.
    `budget`: which of a broker's budgets it is paid from; by default GET reads and POST orders.
    `direct`: the same handler for requests that need no task, only of the edge's own calls.
    `strict_query`: a query parameter that the call does not have is refused; only for FastAPI's.
    `body_bytes_max`: a larger body is refused (413), unread where its length is announced.
    """

    method: Literal["GET", "POST", "PUT"]
    path: str
    handler: Callable[..., Awaitable[Response]]
    who: Literal["broker", "market", "admin", "anyone"]
    summary: str
    request: type | None = None
    answers: dict[int, type | None] = {}
    text_type: str = "text/plain"
    problems: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    budget: Budget | None = None
    strict_query: bool = False
    direct: DirectHandler | None = None
    body_bytes_max: int = BODY_BYTES_MAX
