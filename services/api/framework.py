"""The FastAPI application: every call that is not hot, one router a service, and the API's pages.

The edge routes a request and checks its key and rate limit first, so that a refusal costs little.
It passes the request on with caller, headers, decoded path parameters and request id in the scope's
state. Here dependencies read the body, and exception handlers write problems, with the functions
that the edge uses for its own calls.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import wraps
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from msgspec import Struct, structs
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from schemas.brokers import Broker
from schemas.rest import FieldFault
from services.api.body import ClientGoneError, read_body_of
from services.api.checks import internal_error
from services.api.decoding import invalid_fields
from services.api.docs_page import add_pages
from services.api.messages import BODILESS, Parameter, ProblemError, Response, Route
from services.api.query import require_known_query

_Endpoint = Callable[..., Awaitable[HttpResponse]]


class Framework(Struct, frozen=True):
    """The application, the calls that it serves, and the paths of its pages, open to anyone."""

    app: FastAPI
    calls: tuple[Route, ...]
    pages: tuple[str, ...]


class ServiceRouter(APIRouter):
    """One service's calls. `calls` has each with the query parameters that its handler declares."""

    def __init__(self, calls: Iterable[Route] = ()) -> None:
        super().__init__()
        self.calls: list[Route] = []
        for call in calls:
            self.add(call)

    def add(self, call: Route) -> None:
        """Serve a call. Its handler declares parameters as FastAPI does and returns a Response."""
        # Filled below: FastAPI finds a handler's parameters while it adds the route.
        known: set[str] = set()
        self.add_api_route(
            call.path,
            _answering(call.handler),
            methods=[call.method],
            dependencies=[Depends(_reading(call, known))],
            response_model=None,
        )
        parameters = _parameters(call, self.routes[-1])
        known.update(each.name for each in parameters if each.where == "query")
        self.calls.append(structs.replace(call, parameters=parameters))


def make_framework(title: str, hot: Sequence[Route], routers: Sequence[ServiceRouter]) -> Framework:
    """The application of these routers. Its OpenAPI document contains the hot calls too."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.exception_handler(ProblemError)(_on_problem)
    app.exception_handler(RequestValidationError)(_on_validation_error)
    app.exception_handler(ClientGoneError)(_on_client_gone)
    app.exception_handler(Exception)(_on_exception)
    calls = [call for router in routers for call in router.calls]
    for router in routers:
        app.include_router(router)
    pages = add_pages(app, [*hot, *calls], title)
    return Framework(app, tuple(calls), tuple(pages))


# Coroutines: FastAPI runs plain functions in a thread pool, at some 0.2 ms each.
async def _broker(request: Request) -> Broker:
    broker: Broker = request.state.broker
    return broker


async def _body(request: Request) -> bytes:
    body: bytes = request.state.body
    return body


Caller = Annotated[Broker, Depends(_broker)]
"""Parameter of a handler: the broker that calls."""
Body = Annotated[bytes, Depends(_body)]
"""Parameter of a handler: the body, read within its bounds of size and time."""


def _reading(call: Route, known: Collection[str]) -> Callable[[Request], Awaitable[None]]:
    # Runs before the handler's own dependencies, and before FastAPI validates parameters.
    async def read(request: Request) -> None:
        state = request.state
        if call.strict_query:
            require_known_query(request.scope["query_string"], known)
        state.body = await read_body_of(call, state.headers, request.receive)
        # The path was matched while percent-encoded; these values are decoded.
        request.scope["path_params"] = state.parameters

    return read


def _answering(handler: Callable[..., Awaitable[Response]]) -> _Endpoint:
    @wraps(handler)
    async def endpoint(*args: Any, **kwargs: Any) -> HttpResponse:
        return _http_response(await handler(*args, **kwargs))

    return endpoint


def _http_response(response: Response) -> HttpResponse:
    headers = {} if response.status in BODILESS else {"content-type": response.content_type}
    made = HttpResponse(response.body, response.status, headers)
    for name, value in response.headers:
        made.headers.append(name, value)
    return made


async def _on_problem(request: Request, error: ProblemError) -> HttpResponse:
    return _http_response(error.response(request.state.request_id))


async def _on_validation_error(request: Request, error: RequestValidationError) -> HttpResponse:
    faults = [_fault(each) for each in error.errors()]
    return _http_response(invalid_fields(faults).response(request.state.request_id))


def _fault(error: dict[str, Any]) -> FieldFault:
    # A validator's own ValueError is in `ctx`; pydantic puts a prefix before its text.
    cause = error.get("ctx", {}).get("error")
    return FieldFault("/" + str(error["loc"][-1]), str(cause or error["msg"]))


class _NoAnswer(HttpResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing: the client has closed the connection."""


async def _on_client_gone(_: Request, __: Exception) -> HttpResponse:
    return _NoAnswer()


async def _on_exception(request: Request, error: Exception) -> HttpResponse:
    state = request.state
    return _http_response(internal_error(error, state.request_id, state.template))


def _parameters(call: Route, route: Any) -> tuple[Parameter, ...]:
    # As FastAPI documents them, less what our document leaves out: title, null, repeated texts.
    operation = get_openapi(title="", version="", routes=[route])["paths"][call.path]
    found = operation[call.method.lower()].get("parameters", ())
    return tuple(
        Parameter(p["name"], p["in"], _schema(p["schema"]), p.get("description", ""), p["required"])
        for p in found
        if p["in"] != "path"
    )


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    given = schema | kinds[0] if kinds else schema
    return {k: v for k, v in given.items() if k not in ("title", "description", "anyOf")}
