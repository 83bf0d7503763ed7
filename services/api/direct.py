"""Hot calls without ASGI: from a parsed request to its answer, without a task.

A handler returns the answer, or passes it to a callback later. The checks and their order are those
of `ApiApp`, which serves the same calls through ASGI where a request is unusual.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import lru_cache, partial
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct

from services.api.body import check_body_headers, has_body
from services.api.checks import RequestChecks, internal_error
from services.api.headers import chosen_request_id, read_query
from services.api.messages import (
    NOBODY,
    DirectHandler,
    ProblemError,
    Reply,
    Request,
    Response,
    Route,
    Scope,
)
from services.api.routing import RoutingTable

T = TypeVar("T")

# Longer targets are unusual, and a bound on the memory of those that are remembered.
TARGET_BYTES_MAX: Final = 256
_TARGETS_REMEMBERED_MAX = 4_096
# Targets that need neither decoding nor the parser of URLs.
_PLAIN_TARGET = re.compile(rb"/[A-Za-z0-9._/-]*(?:\?[A-Za-z0-9._=&-]*)?")

_running: set[asyncio.Task[None]] = set()


def reply_later(work: Coroutine[Any, Any, T], reply: Callable[[T | Exception], None]) -> None:
    """Run `work` as a task, for the few answers that wait for a server, and pass its result on."""
    task = asyncio.get_running_loop().create_task(_finish(work, reply))
    # The loop itself holds tasks weakly.
    _running.add(task)
    task.add_done_callback(_running.discard)


async def _finish(work: Coroutine[Any, Any, T], reply: Callable[[T | Exception], None]) -> None:
    try:
        answer = await work
    except Exception as error:
        reply(error)
    else:
        reply(answer)


def awaited(handle: DirectHandler) -> Callable[[Request], Awaitable[Response]]:
    """The same handler as a coroutine function, for requests that come through ASGI."""

    async def handler(request: Request) -> Response:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        response = handle(request, partial(_settle, future))
        return await future if response is None else response

    return handler


def _settle(future: "asyncio.Future[Response]", answer: Response | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Response):
        future.set_result(answer)
    else:
        future.set_exception(answer)


class HotCall(Struct, frozen=True):
    """A hot call, with the parameters and the query of its request line."""

    call: Route
    handle: DirectHandler
    template: str
    parameters: dict[str, str]
    query: dict[str, str]


class _NoEvent:
    def set(self) -> None:
        """Do nothing: no task waits for a body."""


class DirectConnection(Protocol):
    """The connection of a direct call."""

    def send_answer(self, call: "DirectCall", response: Response) -> None:
        """Write the whole answer, unless the client is gone."""


class DirectCall:
    """One hot call in progress. It takes the place of uvicorn's RequestResponseCycle on its
    connection, which reads and writes the public attributes."""

    __slots__ = (
        "_begun_s",
        "_calls",
        "_connection",
        "broker",
        "disconnected",
        "hot",
        "keep_alive",
        "request_id",
        "response_complete",
        "response_started",
    )
    message_event: Final = _NoEvent()

    def __init__(
        self, calls: "DirectCalls", connection: DirectConnection, hot: HotCall, keep_alive: bool
    ) -> None:
        self._begun_s = time.perf_counter()
        self._calls = calls
        self._connection = connection
        self.hot = hot
        self.keep_alive = keep_alive
        self.broker = NOBODY
        self.request_id = ""
        self.disconnected = False
        self.response_started = False
        self.response_complete = False

    def reply(self, answer: Response | Exception) -> None:
        """Answer the request. Later answers are ignored."""
        if self.response_started:
            return
        self.response_started = True
        if isinstance(answer, Response):
            self._calls.charge_size(self, len(answer.body))
            self._write(answer)
        elif isinstance(answer, ProblemError):
            self._calls.charge_tokens(self, answer.tokens)
            response = answer.response(self.request_id)
            if answer.delay_s:
                self._begun_s += answer.delay_s
                loop = asyncio.get_running_loop()
                loop.call_later(answer.delay_s, self._write, response)
            else:
                self._write(response)
        else:
            self._write(internal_error(answer, self.request_id, self.hot.template))

    def _write(self, response: Response) -> None:
        self._connection.send_answer(self, response)
        seconds = time.perf_counter() - self._begun_s
        self._calls.observe(self.hot.template, self.hot.call.method, response.status, seconds)


class DirectCalls:
    """The hot calls of one edge. `observe` receives route, method, status and seconds."""

    def __init__(
        self,
        routes: RoutingTable[Any],
        checks: RequestChecks,
        new_id: Callable[[], str],
        observe: Callable[[str, str, int, float], None],
    ) -> None:
        self._routes = routes
        self._checks = checks
        self._new_id = new_id
        self.observe = observe
        # By method and target of a request line.
        self.find = lru_cache(_TARGETS_REMEMBERED_MAX)(self._find)

    def _find(self, method: bytes, target: bytes) -> HotCall | None:
        """The hot call of a request line; None if it has to go through ASGI."""
        if not _PLAIN_TARGET.fullmatch(target):
            return None
        path, _, query = target.partition(b"?")
        resource, parameters = self._routes.find(path.decode())
        call = None if resource is None else resource.methods.get(method.decode())
        if resource is None or not isinstance(call, Route):
            return None
        handle = call.direct or _in_task(call.handler)
        return HotCall(call, handle, resource.template, parameters, read_query(query))

    def begin(
        self, direct: DirectCall, headers: Mapping[str, str], body: bytes, scope: Scope
    ) -> None:
        """Check a complete request and pass it to its handler. `scope` has the ASGI scope's
        `client` and `connection`."""
        hot = direct.hot
        call = hot.call
        direct.request_id = chosen_request_id(headers) or self._new_id()
        try:
            broker = direct.broker = self._checks.admit(call, scope, headers)
            if call.method == "GET" or not has_body(headers):
                body = b""
            else:
                # The parser holds the body to its Content-Length, which is checked here.
                check_body_headers(headers, call.body_bytes_max)
            request = Request(
                method=call.method,
                parameters=hot.parameters,
                query=hot.query,
                headers=headers,
                body=body,
                broker=broker,
                authorization=headers.get("authorization", ""),
                request_id=direct.request_id,
            )
            answer = hot.handle(request, direct.reply)
        except Exception as error:
            # Not kept in a variable: its traceback holds this frame, and only the collector would
            # free both.
            direct.reply(error)
        else:
            if answer is not None:
                direct.reply(answer)

    def charge_size(self, direct: DirectCall, size: int) -> None:
        """Charge the caller for a large answer."""
        if direct.broker is not NOBODY:
            self._checks.charge_size(direct.hot.call, direct.broker, size)

    def charge_tokens(self, direct: DirectCall, tokens: int) -> None:
        """Charge the caller for an answer that was expensive to find."""
        if tokens and direct.broker is not NOBODY:
            self._checks.charge(direct.hot.call, direct.broker, tokens)


def _in_task(handler: Callable[..., Awaitable[Response]]) -> DirectHandler:
    async def run(request: Request) -> Response:
        return await handler(request)

    def handle(request: Request, reply: Reply) -> None:
        reply_later(run(request), reply)

    return handle
