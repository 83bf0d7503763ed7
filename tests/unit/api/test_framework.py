"""FastAPI calls behind the API application: the same checks, refusals and headers as hot calls."""

import asyncio
import logging
from typing import Annotated

import pytest
from fastapi import Query
from msgspec import Struct

from schemas.brokers import Broker, key_hash
from services.api.app import ApiApp, Response, Route, json_response
from services.api.body import require_no_fields
from services.api.brokers import BrokerDirectory
from services.api.framework import Body, Caller, ServiceRouter, make_framework
from services.api.query import Count
from services.api.rate_limits import RateLimiter, RateLimits
from services.runtime.metrics import HTTP_SECONDS
from tests.support.asgi_driver import AsgiRequest, AsgiResponse, answer, drive

ADMIN_KEY = "the-admin-key-of-this-test"
BROKER = Broker("33be8111-b9b1-40c1-a6e6-2395694c9eef", "Alfa", key_hash("alfa"), 0)
AS_BROKER = {"Authorization": "Bearer alfa"}
JSON = {"Content-Type": "application/json"}


class Echo(Struct, frozen=True):
    broker: str
    item_id: str = ""
    limit: int = 0
    body: str = ""


async def hot(_: object) -> Response:
    return Response(204)


async def item(
    broker: Caller,
    item_id: str,
    limit: Annotated[int, Count(200), Query(description="Items")] = 50,
) -> Response:
    return json_response(200, Echo(broker.name, item_id, limit), (("X-Kind", "echo"),))


async def make(broker: Caller, body: Body) -> Response:
    return json_response(201, Echo(broker.name, body=body.decode()))


async def clear(_: Caller, body: Body) -> Response:
    require_no_fields(body)
    return Response(204)


async def broken() -> Response:
    raise RuntimeError("secret inner workings")


def make_api(limits: RateLimits | None = None) -> ApiApp:
    directory = BrokerDirectory(ADMIN_KEY)
    directory.add(BROKER)
    routes = [Route("POST", "/items/{item_id}", hot, "broker", "hot")]
    router = ServiceRouter(
        [
            Route("GET", "/items/{item_id}", item, "broker", "item", answers={200: Echo}),
            Route("POST", "/items", make, "broker", "make", answers={201: Echo}),
            Route("POST", "/clear", clear, "broker", "clear", answers={204: None}),
            Route("POST", "/admin", clear, "admin", "admin", answers={204: None}),
            Route("GET", "/broken", broken, "anyone", "broken"),
            Route("GET", "/market/{item_id}", item, "market", "market", answers={200: Echo}),
        ]
    )
    framework = make_framework("Test", routes, [router])
    return ApiApp(routes, directory, framework, RateLimiter(limits or RateLimits()))


def request_of(method: str, path: str, body: bytes = b"", **headers: str) -> AsgiRequest:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    length = {"Content-Length": str(len(body))}
    return AsgiRequest(method, path, AS_BROKER | JSON | length | named, (body,))


def problem(response: AsgiResponse) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.body["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-length"] == str(len(response.raw))
    return response.status, response.body["code"]


def test_handler_gets_caller_parameters_and_body() -> None:
    api = make_api()
    got = answer(api, request_of("GET", "/items/7?limit=3&limit=4"))
    assert got.body == {"broker": "Alfa", "item_id": "7", "limit": 4, "body": ""}
    assert (got.headers["x-kind"], got.headers["content-type"]) == ("echo", "application/json")
    assert answer(api, request_of("GET", "/items/7")).body["limit"] == 50
    assert answer(api, request_of("POST", "/items", b'{"a":1}')).body["body"] == '{"a":1}'


def test_path_parameter_is_split_before_it_is_decoded() -> None:
    assert answer(make_api(), request_of("GET", "/items/a%2Fb%20c")).body["item_id"] == "a/b c"


@pytest.mark.parametrize("limit", ["", "0", "201", "5.0", "+5", "1_0", "x", "\xb2"])
def test_count_out_of_bounds_is_422_with_its_pointer(limit: str) -> None:
    response = answer(make_api(), request_of("GET", f"/items/7?limit={limit}"))
    assert problem(response) == (422, "invalid")
    assert response.body["errors"] == [
        {"pointer": "/limit", "detail": "must be a whole number from 1 to 200"}
    ]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (AsgiRequest("GET", "/items/7"), (401, "unauthenticated")),
        (AsgiRequest("GET", "/items/7?limit=x"), (401, "unauthenticated")),
        (request_of("POST", "/admin"), (403, "forbidden")),
        (request_of("GET", "/items/7", Accept="text/html"), (406, "not_acceptable")),
        (
            request_of("POST", "/items", b"{}", Content_Type="text/plain"),
            (415, "unsupported_media_type"),
        ),
        (request_of("POST", "/items", b"x" * 5_000), (413, "body_too_large")),
        (request_of("POST", "/clear", b"{"), (400, "malformed_json")),
        (request_of("POST", "/clear", b'{"a":1}'), (422, "invalid")),
        (request_of("GET", "/items/7/8"), (404, "not_found")),
        (request_of("DELETE", "/items/7"), (405, "method_not_allowed")),
    ],
)
def test_refusals_equal_those_of_hot_calls(sent: AsgiRequest, expected: tuple[int, str]) -> None:
    assert problem(answer(make_api(), sent)) == expected


@pytest.mark.parametrize("body", [b"", b"{}", b"{ }"])
def test_call_without_fields_accepts_an_empty_body_or_object(body: bytes) -> None:
    response = answer(make_api(), request_of("POST", "/clear", body))
    assert (response.status, response.raw) == (204, b"")
    assert "content-type" not in response.headers
    assert "content-length" not in response.headers


def test_allow_header_lists_hot_and_framework_methods_of_a_path() -> None:
    response = answer(make_api(), request_of("OPTIONS", "/items/7"))
    assert (response.status, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert answer(make_api(), request_of("POST", "/items/7")).status == 204


def test_head_answers_as_get_without_the_body() -> None:
    got, head = (answer(make_api(), request_of(method, "/items/7")) for method in ("GET", "HEAD"))
    assert (head.status, head.raw) == (200, b"")
    assert head.headers["content-length"] == str(len(got.raw))


def test_unavailable_api_answers_503_before_checking_the_key() -> None:
    api = make_api()
    api.refuse("starting")
    response = answer(api, AsgiRequest("GET", "/items/7"))
    assert problem(response) == (503, "not_accepted")
    assert response.headers["retry-after"] == "1"
    api.accept()
    assert answer(api, request_of("GET", "/items/7")).status == 200


def test_rate_limit_is_shared_with_the_hot_calls() -> None:
    api = make_api(RateLimits(orders_per_second=1))
    assert [answer(api, request_of("POST", "/items/7")).status for _ in range(2)] == [204, 204]
    assert problem(answer(api, request_of("POST", "/items", b"{}"))) == (429, "rate_limited")


def test_unexpected_exception_is_500_without_a_stack_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        response = answer(make_api(), AsgiRequest("GET", "/broken", {"X-Request-Id": "mine"}))
    assert problem(response) == (500, "internal_error")
    assert b"secret" not in response.raw
    (record,) = caplog.records
    assert record.__dict__["fields"] == {"request_id": "mine", "route": "/broken"}
    assert record.exc_info is not None


def test_disconnected_client_gets_no_response() -> None:
    headers = AS_BROKER | JSON | {"Content-Length": "9"}
    sent = AsgiRequest("POST", "/items", headers, (b"{",), gone=True)
    assert asyncio.run(drive(make_api(), sent)) is None


def test_metrics_count_the_route_template_method_and_status() -> None:
    def count() -> float:
        timer = HTTP_SECONDS.labels("/items/{item_id}", "GET", "200")
        return float(sum(bucket.get() for bucket in timer._buckets))

    before = count()
    answer(make_api(), request_of("GET", "/items/one"))
    assert count() == before + 1


@pytest.mark.parametrize(
    ("key", "status"), [(None, 200), ("alfa", 200), ("unknown", 401), (ADMIN_KEY, 403)]
)
def test_open_market_needs_no_key_but_refuses_a_wrong_one(key: str | None, status: int) -> None:
    api = make_api()
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    request = AsgiRequest("GET", "/market/7", headers)
    assert answer(api, request).status == (401 if key is None else status)
    api.open_market()
    assert answer(api, request).status == status


def test_open_market_is_charged_to_the_address_and_closed_while_starting() -> None:
    api = make_api(RateLimits(keyless_per_second=1))
    api.open_market()
    request = AsgiRequest("GET", "/market/7", {})
    api.refuse("starting")
    assert answer(api, request).status == 503
    api.accept()
    statuses = [answer(api, request).status for _ in range(11)]
    assert statuses == [200] * 10 + [429]
