"""The HTTP edge as a plain ASGI app: the one place for routing, keys, limits, problems, metrics.

Order of checks: route, method, open for business, key, budget, headers, body. A handler sees
only what passed all of them.
"""

import itertools
import logging
import secrets
import time
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import quote

from prometheus_client import Histogram

from schemas.brokers import Broker
from services.api.body import (
    BODY_BYTES_MAX,
    ClientGoneError,
    check_body_headers,
    has_body,
    read_body,
)
from services.api.brokers import BrokerDirectory
from services.api.headers import (
    accepts_json,
    bearer_key,
    chosen_request_id,
    read_headers,
    read_query,
)
from services.api.messages import (
    NOBODY,
    PROBLEMS,
    AsgiApp,
    Headers,
    Parameter,
    ProblemError,
    Receive,
    Request,
    Response,
    Route,
    Scope,
    Send,
    json_response,
    not_accepted,
)
from services.api.rate_limits import RateLimiter, RateLimits
from services.api.routing import Resource, RoutingTable
from services.runtime.metrics import HTTP_SECONDS

__all__ = [
    "BODY_BYTES_MAX",
    "NOBODY",
    "PROBLEMS",
    "ApiApp",
    "Headers",
    "Parameter",
    "ProblemError",
    "Request",
    "Response",
    "Route",
    "json_response",
    "not_accepted",
]

log = logging.getLogger(__name__)

_UNMATCHED: Resource[Route | AsgiApp] = Resource("unmatched")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNLIMITED = RateLimits()
_BODILESS = frozenset({204, 304})


class ApiApp:
    """Answers `routes`, and hands exact paths of `fallback` to other ASGI apps (GET and HEAD)."""

    def __init__(
        self,
        routes: Sequence[Route],
        directory: BrokerDirectory,
        fallback: Mapping[str, AsgiApp] | None = None,
        limits: RateLimits = _UNLIMITED,
    ) -> None:
        self._directory = directory
        self._rate_limiter = RateLimiter(limits)
        self._routes: RoutingTable[Route | AsgiApp] = RoutingTable()
        for call in routes:
            self._routes.add(call.method, call.path, call)
        for path, app in (fallback or {}).items():
            self._routes.add("GET", path, app)
        self._refusal: ProblemError | None = None
        self._id_prefix = secrets.token_hex(8)
        self._id_count = itertools.count(1)
        self._timers: dict[tuple[str, str, int], Histogram] = {}

    def refuse(self, reason: str, *, close: bool = False) -> None:
        """From now on every call that needs a key is answered 503, before the key is looked at."""
        self._refusal = not_accepted(reason, close=close)

    def accept(self) -> None:
        """Open for business."""
        self._refusal = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        headers = read_headers(scope["headers"])
        request_id = chosen_request_id(headers) or f"{self._id_prefix}-{next(self._id_count)}"
        method: str = scope["method"]
        found, parameters = self._routes.find(_raw_path(scope))
        resource = found or _UNMATCHED
        try:
            entry = self._entry(method, resource)
            if isinstance(entry, Route):
                response = await self._call(
                    entry, scope, receive, (headers, parameters, request_id)
                )
            elif isinstance(entry, Response):
                response = entry
            else:
                await _pass_on(entry, scope, receive, send, request_id)
                return
        except ProblemError as problem:
            response = problem.response(request_id)
        except ClientGoneError:
            return
        except Exception:
            response = _internal_error(request_id, resource.template)
        await _send(send, response, request_id, method)
        self._observe(resource.template, method, response.status, time.perf_counter() - begun)

    def _entry(
        self, method: str, resource: Resource[Route | AsgiApp]
    ) -> Route | AsgiApp | Response:
        # The table's entry for the method, or the answer that needs none.
        entry = resource.methods.get("GET" if method == "HEAD" else method)
        if entry is not None:
            return entry
        if resource is _UNMATCHED:
            raise ProblemError(404, "not_found", "there is nothing at this path")
        allow = (("Allow", resource.allow),)
        if method == "OPTIONS":
            return Response(204, headers=allow)
        raise ProblemError(
            405, "method_not_allowed", f"allowed here: {resource.allow}", headers=allow
        )

    async def _call(
        self,
        call: Route,
        scope: Scope,
        receive: Receive,
        read: tuple[dict[str, str], dict[str, str], str],
    ) -> Response:
        headers, parameters, request_id = read
        broker = NOBODY
        if call.who != "anyone":
            if self._refusal is not None:
                raise self._refusal
            broker = self._admitted(call, scope, headers)
            if broker is not NOBODY:
                budget = call.budget or ("orders" if call.method == "POST" else "reads")
                self._rate_limiter.spend(broker.broker_id, budget, time.monotonic())
            if not accepts_json(headers.get("accept", "")):
                raise ProblemError(406, "not_acceptable", "answers are application/json")
        body = b""
        if call.method == "POST" and has_body(headers):
            check_body_headers(headers)
            body = await read_body(receive)
        request = Request(
            method=scope["method"],
            parameters=parameters,
            query=read_query(scope["query_string"]),
            headers=headers,
            body=body,
            broker=broker,
            authorization=headers.get("authorization", ""),
            request_id=request_id,
        )
        return await call.handler(request)

    def _admitted(self, call: Route, scope: Scope, headers: Mapping[str, str]) -> Broker:
        # The broker who calls; NOBODY for the admin. Anyone else gets a problem.
        key = bearer_key(headers.get("authorization", ""))
        caller = None
        if key is not None:
            caller = self._directory.caller(key, time.time_ns() // 1_000_000)
        if caller is None:
            # Of the connection, not of a header that a client can write as it likes.
            address, _ = scope.get("client") or ("", 0)
            raise self._rate_limiter.unauthenticated(address, time.monotonic())
        if isinstance(caller, Broker):
            if call.who == "broker":
                return caller
            raise ProblemError(403, "forbidden", "this needs the admin key")
        if call.who == "admin":
            return NOBODY
        raise ProblemError(403, "forbidden", "this needs a broker's key, not the admin's")

    def _observe(self, route: str, method: str, status: int, seconds: float) -> None:
        timer = self._timers.get((route, method, status))
        if timer is None:
            # Methods are free text; only the known ones may become label values.
            label = method if method in _METHODS else "other"
            timer = HTTP_SECONDS.labels(route, label, str(status))
            if label != "other":
                self._timers[route, method, status] = timer
        timer.observe(seconds)


def _raw_path(scope: Scope) -> str:
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"]) if raw is None else raw.decode("latin-1")


def _internal_error(request_id: str, route: str) -> Response:
    # Inside of an except block: the trace goes to the log, never to the client.
    log.exception("request failed", extra={"fields": {"request_id": request_id, "route": route}})
    problem = ProblemError(500, "internal_error", "see the log of the exchange by the request id")
    return problem.response(request_id)


async def _send(send: Send, response: Response, request_id: str, method: str) -> None:
    headers = [(b"x-request-id", request_id.encode())]
    if response.status not in _BODILESS:
        headers.append((b"content-type", response.content_type.encode()))
        headers.append((b"content-length", b"%d" % len(response.body)))
    for name, value in response.headers:
        headers.append((name.lower().encode(), value.encode("latin-1")))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})


async def _pass_on(
    app: AsgiApp, scope: Scope, receive: Receive, send: Send, request_id: str
) -> None:
    async def send_with_id(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            message = {**message, "headers": headers}
        elif scope["method"] == "HEAD":
            message = {**message, "body": b""}
        await send(message)

    await app(scope, receive, send_with_id)
