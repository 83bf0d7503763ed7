"""The API application in memory: all of its own responses, in the order of its checks."""

import asyncio
import logging

import pytest
from fastapi import FastAPI
from msgspec import Struct
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse

from schemas.brokers import Broker, key_hash
from services.api import body as http_body
from services.api.app import BODY_BYTES_MAX, ApiApp, Request, Response, Route, json_response
from services.api.brokers import BrokerDirectory
from services.api.framework import Framework
from tests.support.asgi_driver import AsgiRequest, AsgiResponse, answer, drive

ADMIN_KEY = "the-admin-key-of-this-test"
BROKER_KEY = "ex_broker"
BROKER = Broker(
    broker_id="33be8111-b9b1-40c1-a6e6-2395694c9eef",
    name="Alfa",
    api_key_hash=key_hash(BROKER_KEY),
    created_at=0,
)
AS_BROKER = {"Authorization": f"Bearer {BROKER_KEY}"}
AS_ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
JSON = {"Content-Type": "application/json"}


class Echo(Struct, frozen=True):
    method: str
    parameters: dict[str, str]
    query: dict[str, str]
    body: str
    broker: str
    request_id: str


async def echo(request: Request) -> Response:
    return json_response(
        200,
        Echo(
            request.method,
            request.parameters,
            request.query,
            request.body.decode(),
            request.broker.name,
            request.request_id,
        ),
    )


async def broken(_: Request) -> Response:
    raise RuntimeError("secret inner workings")


async def no_content(_: Request) -> Response:
    return Response(204)


async def page(request: HttpRequest) -> HTMLResponse:
    return HTMLResponse(request.url.path)


def make_api(framework: Framework | None = None) -> ApiApp:
    directory = BrokerDirectory(ADMIN_KEY)
    directory.add(BROKER)
    routes = [
        Route("POST", "/orders", echo, "broker", "place"),
        Route("GET", "/orders/{order_id}", echo, "broker", "order"),
        Route("POST", "/orders/{order_id}/cancel", no_content, "broker", "cancel"),
        Route("GET", "/stocks/{symbol}/price", echo, "broker", "price"),
        Route("POST", "/register", echo, "admin", "register"),
        Route("GET", "/livez", echo, "anyone", "alive"),
        Route("GET", "/broken", broken, "anyone", "broken"),
    ]
    return ApiApp(routes, directory, framework)


def post(path: str, *parts: bytes, **headers: str) -> AsgiRequest:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    length = {"Content-Length": str(sum(map(len, parts)))}
    return AsgiRequest("POST", path, AS_BROKER | JSON | length | named, parts)


def is_problem(response: AsgiResponse, status: int, code: str) -> None:
    assert (response.status, response.body["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.body["status"] == status
    assert response.body["type"] == f"urn:exchange:problem:{code}"
    assert response.body["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-length"] == str(len(response.raw))
    assert response.body["title"]
    assert response.body["detail"]


def test_post_with_body_in_parts_reaches_the_handler() -> None:
    response = answer(make_api(), post("/orders", b'{"a"', b":1}"))
    assert response.status == 200
    assert response.body["body"] == '{"a":1}'
    assert response.body["broker"] == "Alfa"
    assert response.headers["content-length"] == str(len(response.raw))


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/orders/abc", {"order_id": "abc"}),
        ("/orders/a%2Fb%20c", {"order_id": "a/b c"}),
        ("/orders/a%00b", {"order_id": "a\x00b"}),
        ("/stocks/PETR4/price", {"symbol": "PETR4"}),
        ("/stocks/%ff/price", {"symbol": "�"}),
    ],
)
def test_path_parameters_are_split_before_they_are_decoded(
    path: str, parameters: dict[str, str]
) -> None:
    assert answer(make_api(), AsgiRequest("GET", path, AS_BROKER)).body["parameters"] == parameters


def test_query_keeps_the_last_value_and_blank_ones() -> None:
    response = answer(make_api(), AsgiRequest("GET", "/orders/1?a=1&a=2&b=&c=%20x", AS_BROKER))
    assert response.body["query"] == {"a": "2", "b": "", "c": " x"}


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/orders/", "/orders//cancel", "/orders/1/2", "/ORDERS", "//orders"]
)
def test_unknown_path_is_404_before_any_key(path: str) -> None:
    is_problem(answer(make_api(), AsgiRequest("POST", path)), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/orders", "OPTIONS, POST"),
        ("GET", "/orders", "OPTIONS, POST"),
        ("HEAD", "/orders", "OPTIONS, POST"),
        ("POST", "/orders/1", "GET, HEAD, OPTIONS"),
        ("BREW", "/orders/1/cancel", "OPTIONS, POST"),
    ],
)
def test_wrong_method_is_405_with_an_allow_header(method: str, path: str, allow: str) -> None:
    response = answer(make_api(), AsgiRequest(method, path))
    assert (response.status, response.headers["allow"]) == (405, allow)
    if method != "HEAD":
        is_problem(response, 405, "method_not_allowed")


def test_options_is_204_with_an_allow_header_and_no_body() -> None:
    response = answer(make_api(), AsgiRequest("OPTIONS", "/orders/1"))
    assert (response.status, response.raw) == (204, b"")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    assert "content-length" not in response.headers


def test_head_answers_as_get_without_the_body() -> None:
    got = answer(make_api(), AsgiRequest("GET", "/livez", {"X-Request-Id": "r"}))
    head = answer(make_api(), AsgiRequest("HEAD", "/livez", {"X-Request-Id": "r"}))
    assert (head.status, head.raw) == (200, b"")
    # The echo names the method, which is one letter longer.
    assert int(head.headers["content-length"]) == len(got.raw) + 1


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic ZXhfYnJva2Vy",
        BROKER_KEY,
        f"Basic {BROKER_KEY}",
        "Bearer \xff\xfe",
    ],
)
def test_missing_malformed_or_wrong_key_is_401(authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = answer(make_api(), AsgiRequest("POST", "/orders", headers))
    is_problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


def test_authorization_scheme_is_case_insensitive() -> None:
    headers = {"Authorization": f"bearer  {BROKER_KEY}"}
    assert answer(make_api(), AsgiRequest("GET", "/orders/1", headers)).status == 200


@pytest.mark.parametrize(("path", "headers"), [("/register", AS_BROKER), ("/orders", AS_ADMIN)])
def test_key_of_the_wrong_kind_is_403(path: str, headers: dict[str, str]) -> None:
    is_problem(answer(make_api(), AsgiRequest("POST", path, headers)), 403, "forbidden")


def test_admin_key_is_accepted_by_an_admin_call() -> None:
    assert answer(make_api(), AsgiRequest("POST", "/register", AS_ADMIN)).status == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/*", 200),
        ("text/html, application/json;q=0.1", 200),
        ("text/html, */*;q=0.1", 200),
        ("application/json;q=bad", 200),
        ("", 200),
        ("text/html", 406),
        ("application/json;q=0, */*", 406),
        ("application/problem+json", 406),
    ],
)
def test_accept_that_excludes_json_is_406(accept: str, status: int) -> None:
    response = answer(make_api(), AsgiRequest("GET", "/orders/1", AS_BROKER | {"Accept": accept}))
    assert response.status == status
    if status == 406:
        is_problem(response, 406, "not_acceptable")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "application/json; charset=utf-8"}, 200),
        ({"Content_Type": "Application/JSON"}, 200),
        ({"Content_Type": ""}, 200),
        ({"Content_Encoding": "identity"}, 200),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "application/json; charset=latin-1"}, 415),
        ({"Content_Encoding": "gzip"}, 415),
    ],
)
def test_body_of_another_content_type_is_415(headers: dict[str, str], status: int) -> None:
    response = answer(make_api(), post("/orders", b"{}", **headers))
    assert response.status == status
    if status == 415:
        is_problem(response, 415, "unsupported_media_type")
        assert response.received == 0


def test_post_without_a_body_needs_no_content_type() -> None:
    response = answer(make_api(), AsgiRequest("POST", "/orders/1/cancel", AS_BROKER))
    assert (response.status, response.raw, response.received) == (204, b"", 0)
    assert "content-type" not in response.headers


def test_body_at_the_size_limit_is_read_and_one_byte_more_is_413() -> None:
    assert answer(make_api(), post("/orders", b"x" * BODY_BYTES_MAX)).status == 200
    response = answer(make_api(), post("/orders", b"x" * (BODY_BYTES_MAX + 1)))
    is_problem(response, 413, "body_too_large")
    assert response.headers["connection"] == "close"
    assert response.received == 0


@pytest.mark.parametrize("length", ["99999999999999999999999999", "-1", "abc", "\xb2"])
def test_content_length_that_is_no_sensible_number_is_413(length: str) -> None:
    response = answer(make_api(), post("/orders", b"{}", Content_Length=length))
    is_problem(response, 413, "body_too_large")


def test_endless_body_is_413_and_is_not_read_further() -> None:
    headers = AS_BROKER | JSON | {"Transfer-Encoding": "chunked"}
    response = answer(make_api(), AsgiRequest("POST", "/orders", headers, None))
    is_problem(response, 413, "body_too_large")
    assert response.received == BODY_BYTES_MAX // 1024 + 1
    assert response.headers["connection"] == "close"


def test_stalled_body_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_body, "BODY_SECONDS_MAX", 0.01)
    headers = AS_BROKER | JSON | {"Content-Length": "2"}
    response = answer(make_api(), AsgiRequest("POST", "/orders", headers, stalls=True))
    is_problem(response, 408, "request_timeout")
    assert response.headers["connection"] == "close"


def test_disconnected_client_gets_no_response() -> None:
    headers = AS_BROKER | JSON | {"Content-Length": "9"}
    sent = AsgiRequest("POST", "/orders", headers, (b"{",), gone=True)
    assert asyncio.run(drive(make_api(), sent)) is None


def test_checks_run_in_order_route_method_key_headers_body() -> None:
    bad = {"Content-Type": "text/plain", "Accept": "text/html", "Content-Length": "9999"}
    api = make_api()
    wrong = [
        AsgiRequest("PUT", "/nothing", bad),
        AsgiRequest("PUT", "/orders", bad),
        AsgiRequest("POST", "/orders", bad),
        AsgiRequest("POST", "/orders", bad | AS_ADMIN),
        AsgiRequest("POST", "/orders", bad | AS_BROKER),
        AsgiRequest("POST", "/orders", bad | AS_BROKER | {"Accept": "*/*"}),
        AsgiRequest("POST", "/orders", bad | AS_BROKER | JSON | {"Accept": "*/*"}),
    ]
    statuses = [answer(api, sent).status for sent in wrong]
    assert statuses == [404, 405, 401, 403, 406, 415, 413]


def test_unexpected_exception_is_500_without_a_stack_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        response = answer(make_api(), AsgiRequest("GET", "/broken", {"X-Request-Id": "mine"}))
    is_problem(response, 500, "internal_error")
    assert b"secret" not in response.raw
    (record,) = caplog.records
    assert record.__dict__["fields"] == {"request_id": "mine", "route": "/broken"}
    assert record.exc_info is not None


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 64])
def test_valid_request_id_of_the_client_is_used(given: str) -> None:
    response = answer(make_api(), AsgiRequest("GET", "/livez", {"X-Request-Id": given}))
    assert response.headers["x-request-id"] == response.body["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\nb", "é", "a/b"])
def test_invalid_request_id_of_the_client_is_replaced(given: str) -> None:
    api = make_api()
    first, second = (
        answer(api, AsgiRequest("GET", "/livez", {"X-Request-Id": given})).headers["x-request-id"]
        for _ in range(2)
    )
    assert given not in (first, second)
    assert first != second


def test_unavailable_api_answers_503_before_checking_the_key_and_stays_alive() -> None:
    api = make_api()
    api.refuse("starting")
    response = answer(api, AsgiRequest("POST", "/orders"))
    is_problem(response, 503, "not_accepted")
    assert response.body["retryable"] is True
    assert response.headers["retry-after"] == "1"
    assert "connection" not in response.headers
    assert answer(api, AsgiRequest("GET", "/livez")).status == 200
    api.refuse("stopping", close=True)
    assert answer(api, AsgiRequest("POST", "/orders")).headers["connection"] == "close"
    api.accept()
    assert answer(api, AsgiRequest("POST", "/orders")).status == 401


def test_framework_serves_its_exact_paths_with_a_request_id() -> None:
    app = FastAPI(openapi_url=None)
    app.add_route("/docs", page)
    api = make_api(Framework(app, (), ("/docs",)))
    response = answer(api, AsgiRequest("GET", "/docs"))
    assert (response.status, response.raw) == (200, b"/docs")
    assert response.headers["x-request-id"]
    is_problem(answer(api, AsgiRequest("GET", "/docs/more")), 404, "not_found")
    is_problem(answer(api, AsgiRequest("POST", "/docs")), 405, "method_not_allowed")


def test_duplicate_route_raises_value_error() -> None:
    call = Route("GET", "/livez", echo, "anyone", "")
    with pytest.raises(ValueError, match="twice"):
        ApiApp([call, call], BrokerDirectory(ADMIN_KEY))
