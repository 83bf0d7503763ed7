"""The HTTP edge: answers the hot calls as a plain ASGI app, and hands all others to FastAPI.

Routing, request ids, keys, rate limits and metrics are the edge's for every call. Order of checks:
route, method, accepting calls, key, rate limit, headers, body. A handler receives only what passed
all of them.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import MutableMapping, Sequence
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from prometheus_client import Histogram

from schemas.brokers import Broker
from services.api.body import ClientGoneError, read_body_of
from services.api.brokers import BrokerDirectory
from services.api.checks import RequestChecks, internal_error
from services.api.direct import DirectCalls
from services.api.framework import Framework
from services.api.headers import chosen_request_id, read_headers, read_query
from services.api.messages import (
    BODILESS,
    BODY_BYTES_MAX,
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
from services.api.pages import Pages
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

# The same for the pages, which are ready and only have to be sent, to clients without a key.
CHARGED_PAGE_BYTES = 64 * 1024


class _Passed(Struct, frozen=True):
    # A path of another ASGI app: a call, or None for a page that needs no key.
    app: AsgiApp
    call: Route | None


_UNMATCHED: Resource[Route | _Passed] = Resource("unmatched")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ApiApp:
    """Answers the hot `routes` itself and passes the calls of `framework` on to FastAPI."""

    def __init__(
        self,
        routes: Sequence[Route],
        directory: BrokerDirectory,
        framework: Framework | None = None,
        rate_limiter: RateLimiter | None = None,
        pages: Sequence[Pages] = (),
    ) -> None:
        """`rate_limiter`: none limits nothing."""
        self._checks = RequestChecks(directory, rate_limiter or RateLimiter(RateLimits()))
        self.refuse = self._checks.refuse
        self.accept = self._checks.accept
        self.spent_keyless = self._checks.spent_keyless
        self.require_fresh = self._checks.require_fresh
        self.open_market = self._checks.open_market
        self._routes: RoutingTable[Route | _Passed] = RoutingTable()
        for call in routes:
            self._routes.add(call.method, call.path, call)
        if framework is not None:
            for call in framework.calls:
                self._routes.add(call.method, call.path, _Passed(framework.app, call))
            for path in framework.pages:
                self._routes.add("GET", path, _Passed(framework.app, None))
        for served in pages:
            for path in served.paths:
                self._routes.add("GET", path, _Passed(served.app, None))
        self._id_prefix = secrets.token_hex(8)
        self._id_count = itertools.count(1)
        self._timers: dict[tuple[str, str, int], Histogram] = {}
        self.direct = DirectCalls(self._routes, self._checks, self._new_id, self._observe)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        headers = read_headers(scope["headers"])
        request_id = chosen_request_id(headers) or self._new_id()
        method: str = scope["method"]
        found, parameters = self._routes.find(_raw_path(scope))
        resource = found or _UNMATCHED
        try:
            entry = self._entry(method, resource)
            if entry is None:
                response = self._without_entry(method, resource, scope, headers)
            elif isinstance(entry, Route):
                response = await self._call(
                    entry, scope, receive, (headers, parameters, request_id)
                )
            else:
                broker = (
                    self._checks.admit_open(scope, headers)
                    if entry.call is None
                    else self._checks.admit(entry.call, scope, headers)
                )
                state = {
                    "broker": broker,
                    "headers": headers,
                    "parameters": parameters,
                    "request_id": request_id,
                    "template": resource.template,
                }
                status, size = await _pass_on(entry.app, {**scope, "state": state}, receive, send)
                self._charge_passed(entry, scope, broker, size)
                if status:
                    self._observe(resource.template, method, status, time.perf_counter() - begun)
                return
        except ProblemError as problem:
            response = problem.response(request_id)
            if problem.delay_s:
                begun += problem.delay_s
                await asyncio.sleep(problem.delay_s)
        except ClientGoneError:
            return
        except Exception as error:
            response = internal_error(error, request_id, resource.template)
        await _send(send, response, request_id, method)
        self._observe(resource.template, method, response.status, time.perf_counter() - begun)

    def _charge_passed(self, entry: _Passed, scope: Scope, broker: Broker, size: int) -> None:
        if entry.call is None:
            if size >= CHARGED_PAGE_BYTES:
                self._checks.charge_keyless(scope, size // CHARGED_PAGE_BYTES)
        elif broker is not NOBODY:
            self._checks.charge_size(entry.call, broker, size)
        elif entry.call.who == "market":
            self._checks.charge_keyless(scope, size // CHARGED_PAGE_BYTES)

    def _new_id(self) -> str:
        return f"{self._id_prefix}-{next(self._id_count)}"

    def _entry(self, method: str, resource: Resource[Route | _Passed]) -> Route | _Passed | None:
        return resource.methods.get("GET" if method == "HEAD" else method)

    def _without_entry(
        self,
        method: str,
        resource: Resource[Route | _Passed],
        scope: Scope,
        headers: dict[str, str],
    ) -> Response:
        # The answer to a path or method that no call has.
        self._checks.admit_open(scope, headers)
        if resource is _UNMATCHED:
            raise ProblemError("not_found", "no call has this path; /docs lists all calls")
        allow = (("Allow", resource.allow),)
        if method == "OPTIONS":
            return Response(204, headers=allow)
        raise ProblemError(
            "method_not_allowed", f"this path allows {resource.allow}", headers=allow
        )

    async def _call(
        self,
        call: Route,
        scope: Scope,
        receive: Receive,
        read: tuple[dict[str, str], dict[str, str], str],
    ) -> Response:
        headers, parameters, request_id = read
        broker = self._checks.admit(call, scope, headers)
        body = await read_body_of(call, headers, receive)
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
        try:
            response = await call.handler(request)
        except ProblemError as problem:
            if problem.tokens and broker is not NOBODY:
                self._checks.charge(call, broker, problem.tokens)
            raise
        if broker is not NOBODY:
            self._checks.charge_size(call, broker, len(response.body))
        return response

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


async def _send(send: Send, response: Response, request_id: str, method: str) -> None:
    headers = [(b"x-request-id", request_id.encode())]
    if response.status not in BODILESS:
        headers.append((b"content-type", response.content_type.encode()))
        headers.append((b"content-length", b"%d" % len(response.body)))
    for name, value in response.headers:
        headers.append((name.lower().encode(), value.encode("latin-1")))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})


async def _pass_on(app: AsgiApp, scope: Scope, receive: Receive, send: Send) -> tuple[int, int]:
    # The status that the framework sent, 0 where the client closed the connection first; and the
    # size of the body.
    status = size = 0
    request_id: str = scope["state"]["request_id"]
    is_head = scope["method"] == "HEAD"

    async def send_with_id(message: MutableMapping[str, Any]) -> None:
        nonlocal status, size
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            message = {**message, "headers": headers}
        elif is_head:
            message = {**message, "body": b""}
        else:
            size += len(message.get("body", b""))
        await send(message)

    # The path still percent-encoded: an encoded slash must not split a segment.
    method = "GET" if is_head else scope["method"]
    inner = {**scope, "path": _raw_path(scope), "method": method}
    try:
        await app(inner, receive, send_with_id)
    except Exception:
        # Starlette sends the answer of the exception handler, then raises the exception again.
        if not status:
            raise
    return status, size
