"""Every problem of the REST contract, caused on a running exchange and compared field by field.

None of them changes the command log.
"""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from conformance.api import Answer, Api, eventually
from schemas import ids
from services.api.app import PROBLEMS
from tests.support.exchange import Exchange

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNKNOWN_DELIVERY = "00000000-0000-8000-8000-000000000000-bid"
ORDER: dict[str, Any] = {
    "document_number": "12345678901",
    "side": "bid",
    "symbol": "FAULT",
    "quantity": 100,
    "price": 3712,
}


@pytest.fixture(scope="module")
def broker(exchange: Exchange) -> Api:
    return exchange.broker("faulty")


@pytest.fixture
def log_unchanged(exchange: Exchange) -> Iterator[None]:
    """Fails if the test appends anything to the command log."""
    before = exchange.log_ends()
    yield
    assert exchange.log_ends() == before


def is_problem(answer: Answer, status: int, code: str) -> None:
    """Compare every field except `detail`, `errors` and `order`, which the test itself compares."""
    kind = PROBLEMS[code]
    assert answer.headers["content-type"] == "application/problem+json"
    fields = dict(answer.body)
    detail = fields.pop("detail")
    assert isinstance(detail, str)
    assert detail
    fields.pop("errors", None)
    fields.pop("order", None)
    request_id = answer.headers["x-request-id"]
    assert REQUEST_ID.fullmatch(request_id)
    assert fields == {
        "type": f"urn:exchange:problem:{code}",
        "title": kind.title,
        "status": status,
        "code": code,
        "retryable": kind.retryable,
        "request_id": request_id,
    }
    assert answer.status == status
    assert "Traceback" not in answer.raw.decode()


def order(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (ORDER | changes).items() if value is not ...}


def raw(name: str, text: str) -> bytes:
    return json.dumps(order(**{name: "@@"})).replace('"@@"', text).encode()


NUMBERS = ["0", "-1", "1.5", '"10"', "true", "9223372036854775808", "1e400", "null"]
INVALID: list[tuple[object, list[str]]] = [
    *[(raw(name, text), [f"/{name}"]) for name in ("price", "quantity") for text in NUMBERS],
    (order(order_type="market"), ["/price"]),
    (order(price=...), ["/price"]),
    (order(valid_until="2020-01-01T00:00:00Z"), ["/valid_until"]),
    (order(valid_until="2020-01-01T00:00:00Z", client_order_id="old"), ["/valid_until"]),
    (order(valid_until="2099-01-01T00:00:00"), ["/valid_until"]),
    (order(valid_until="99999-01-01T00:00:00Z"), ["/valid_until"]),
    (order(valid_until="9999-12-31T23:59:59-23:59"), ["/valid_until"]),
    (order(valid_until=5), ["/valid_until"]),
    (order(order_type="market", price=None, valid_until="2020-01-01T00:00:00Z"), ["/valid_until"]),
    (order(broker_id="me"), ["/broker_id"]),
    *[(order(symbol=bad), ["/symbol"]) for bad in ("", "A" * 11, "petr4", "A/B", "A\x00", "A\n")],
    (order(side="buy"), ["/side"]),
    (order(client_order_id="a b"), ["/client_order_id"]),
    (
        {"document_number": 1, "side": 1, "symbol": 1, "quantity": "1", "price": [1]},
        ["/document_number", "/side", "/symbol", "/quantity", "/price"],
    ),
    ([], [""]),
    ({}, ["/document_number", "/side", "/symbol", "/quantity", "/price"]),
]


@pytest.mark.usefixtures("log_unchanged")
def test_invalid_orders_are_422_with_every_error(broker: Api) -> None:
    for body, pointers in INVALID:
        answer = broker.call("POST", "/orders", body)
        is_problem(answer, 422, "invalid")
        errors = answer.body["errors"]
        assert sorted(error["pointer"] for error in errors) == sorted(pointers), body
        assert all(error.keys() == {"pointer", "detail"} and error["detail"] for error in errors)


@pytest.mark.usefixtures("log_unchanged")
@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff\xfe", b'{"symbol":"\xff"}', b'{"price":NaN}', b"x", b"[" * 4000, b'{"a":' * 800],
)
def test_body_that_is_not_json_is_400(broker: Api, body: bytes) -> None:
    is_problem(broker.call("POST", "/orders", body), 400, "malformed_json")


@pytest.mark.usefixtures("log_unchanged")
def test_order_without_a_body_is_400(broker: Api) -> None:
    is_problem(broker.call("POST", "/orders"), 400, "malformed_json")


@pytest.mark.usefixtures("log_unchanged")
@pytest.mark.parametrize("size", [4097, 5 * 1024, 20_000, 3_000_000])
def test_body_over_the_limit_is_413(broker: Api, size: int) -> None:
    try:
        answer = broker.call("POST", "/orders", b"[" * size)
    except (BrokenPipeError, ConnectionResetError):
        # A body larger than the socket's buffers is still being sent when the answer arrives.
        assert size > 1_000_000
        return
    is_problem(answer, 413, "body_too_large")
    assert answer.headers["connection"] == "close"


@pytest.mark.usefixtures("log_unchanged")
def test_body_that_never_ends_is_413_and_the_connection_closed(broker: Api) -> None:
    address = urlsplit(broker.url)
    with socket.create_connection(
        (address.hostname or "", address.port or 0), timeout=10
    ) as client:
        head = (
            f"POST /orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {broker.key}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        client.sendall(head.encode())
        for _ in range(5):
            client.sendall(b"400\r\n" + b" " * 1024 + b"\r\n")
        response = http.client.HTTPResponse(client)
        response.begin()
        headers = {name.lower(): text for name, text in response.getheaders()}
        is_problem(Answer(response.status, headers, response.read()), 413, "body_too_large")
        assert client.recv(1) == b""


@pytest.mark.usefixtures("log_unchanged")
def test_keys_missing_malformed_or_wrong_are_401(broker: Api) -> None:
    for given in (
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {broker.key}",
        f"Bearer {broker.key}x",
    ):
        headers = {} if given is None else {"Authorization": given}
        for method, path in (("POST", "/orders"), ("GET", "/balance"), ("POST", "/register")):
            answer = Api(broker.url, None).call(method, path, headers=headers)
            is_problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.usefixtures("log_unchanged")
def test_keys_of_the_wrong_kind_are_403(exchange: Exchange, broker: Api) -> None:
    is_problem(broker.call("POST", "/register", {"name": "x"}), 403, "forbidden")
    is_problem(exchange.admin().call("POST", "/orders", ORDER), 403, "forbidden")
    is_problem(exchange.admin().get("/balance"), 403, "forbidden")


@pytest.mark.usefixtures("log_unchanged")
def test_invalid_registrations_are_422(exchange: Exchange) -> None:
    for body, pointer in (
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "a\x00b"}, "/name"),
        ({"name": "a", "webhook_url": "ftp://a/"}, "/webhook_url"),
        ({"name": "a", "webhook_url": "http://"}, "/webhook_url"),
        ({"name": "a", "api_key": "mine"}, "/api_key"),
    ):
        answer = exchange.admin().call("POST", "/register", body)
        is_problem(answer, 422, "invalid")
        assert [fault["pointer"] for fault in answer.body["errors"]] == [pointer]


def test_unknown_order_and_order_of_another_broker_are_the_same_404(
    exchange: Exchange, broker: Api
) -> None:
    other = exchange.broker("other").place("bid", exchange.symbol(), 1, 1).body["order_id"]
    before = exchange.log_ends()
    unknown = ids.order_id(ids.created_ms(other), 0, 12345)
    for order_id in (other, unknown, "x", "a%2Fb", "%00", other.upper(), other[:-1] + "%0A"):
        read = broker.get(f"/orders/{order_id}")
        cancelled = broker.cancel(order_id)
        is_problem(read, 404, "order_not_found")
        is_problem(cancelled, 404, "order_not_found")
        assert read.body["detail"] == cancelled.body["detail"]
    assert exchange.log_ends() == before


@pytest.mark.usefixtures("log_unchanged")
def test_price_without_trades_and_unknown_path_have_separate_404_codes(
    exchange: Exchange, broker: Api
) -> None:
    is_problem(broker.get(f"/stocks/{exchange.symbol()}/price"), 404, "no_trades")
    for path in ("/nothing", "/orders/", "/stocks/A/", "/stocks//book", "/Orders"):
        is_problem(broker.get(path), 404, "not_found")


@pytest.mark.usefixtures("log_unchanged")
def test_market_data_with_invalid_parameters_is_422(broker: Api) -> None:
    for path in (
        "/stocks/petr4/price",
        "/stocks/A%2FB/book",
        "/stocks/ABCDEFGHIJK/book",
        "/stocks/A%00/price",
        *(f"/stocks/A/price?trades={bad}" for bad in ("0", "1001", "x", "1.5", "-1", "")),
        *(f"/stocks/A/book?depth={bad}" for bad in ("0", "51", "x", "%C2%B2")),
    ):
        is_problem(broker.get(path), 422, "invalid")


@pytest.mark.usefixtures("log_unchanged")
def test_deliveries_with_invalid_parameters_are_422(broker: Api) -> None:
    for query, pointers in (
        *((f"limit={bad}", ["/limit"]) for bad in ("0", "201", "x", "-1", "")),
        ("status=lost", ["/status"]),
        ("cursor=5", ["/cursor"]),
        (f"cursor={UNKNOWN_DELIVERY}%0A", ["/cursor"]),
        ("limit=x&status=y&cursor=z", ["/limit", "/cursor", "/status"]),
    ):
        answer = broker.get(f"/webhooks/deliveries?{query}")
        is_problem(answer, 422, "invalid")
        assert [fault["pointer"] for fault in answer.body["errors"]] == pointers


@pytest.mark.usefixtures("log_unchanged")
def test_webhook_calls_of_a_broker_without_a_url_are_404(broker: Api) -> None:
    for path in ("/webhooks/test", "/webhooks/secret/rotate"):
        is_problem(broker.call("POST", path), 404, "not_found")
        is_problem(broker.call("POST", path, {"a": 1}), 422, "invalid")
    assert broker.get("/webhooks/deliveries").body == {"deliveries": [], "next_cursor": None}


@pytest.mark.usefixtures("log_unchanged")
def test_unknown_delivery_and_delivery_of_another_broker_are_the_same_404(
    exchange: Exchange, broker: Api
) -> None:
    with_webhook = {"name": "with a webhook", "webhook_url": "http://receiver.invalid/"}
    registered = exchange.admin().call("POST", "/register", with_webhook).body
    other = Api(broker.url, registered["api_key"])
    queued = other.call("POST", "/webhooks/test")
    assert (queued.status, queued.body["status"]) == (201, "pending")
    delivery_id = queued.body["id"]
    answers = []
    for unknown in (delivery_id, UNKNOWN_DELIVERY, "x", "%00", delivery_id + "%0A", "a%2Fb"):
        answers.append(broker.call("POST", f"/webhooks/deliveries/{unknown}/replay"))
        is_problem(answers[-1], 404, "not_found")
    assert len({answer.body["detail"] for answer in answers}) == 1
    assert other.call("POST", f"/webhooks/deliveries/{delivery_id}/replay").status == 200


@pytest.mark.usefixtures("log_unchanged")
def test_unsupported_methods_are_405_with_allow(broker: Api) -> None:
    for method, path, allow in (
        ("GET", "/orders/validate", "OPTIONS, POST"),
        ("PUT", "/orders", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/orders/x", "GET, HEAD, OPTIONS"),
        ("PUT", "/balance", "GET, HEAD, OPTIONS"),
        ("PATCH", "/register", "OPTIONS, POST"),
        ("POST", "/docs", "GET, HEAD, OPTIONS"),
        ("PROPFIND", "/orders", "GET, HEAD, OPTIONS, POST"),
    ):
        answer = broker.call(method, path)
        is_problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == allow


@pytest.mark.usefixtures("log_unchanged")
def test_unknown_http_method_is_400(broker: Api) -> None:
    is_problem(broker.call("BREW", "/orders"), 400, "malformed_request")


@pytest.mark.usefixtures("log_unchanged")
def test_head_answers_like_get_without_a_body_and_options_lists_methods(broker: Api) -> None:
    for path in ("/balance", "/stocks/A/book", "/readyz", "/docs", "/openapi.json"):
        head, got = broker.call("HEAD", path), broker.get(path)
        assert (head.status, head.raw) == (200, b"")
        assert head.headers["content-type"] == got.headers["content-type"]
    assert broker.call("HEAD", "/orders/batch").status == 405
    options = broker.call("OPTIONS", "/orders/batch")
    assert (options.status, options.headers["allow"]) == (204, "OPTIONS, POST")


@pytest.mark.usefixtures("log_unchanged")
def test_unsupported_content_types_are_406_and_415(broker: Api) -> None:
    is_problem(
        broker.call("GET", "/balance", headers={"Accept": "text/html"}), 406, "not_acceptable"
    )
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Encoding": "gzip"},
    ):
        answer = broker.call("POST", "/orders", ORDER, headers)
        is_problem(answer, 415, "unsupported_media_type")


def test_cancel_of_a_filled_order_is_409_with_the_order(exchange: Exchange, broker: Api) -> None:
    symbol = exchange.symbol()
    order_id = broker.place("ask", symbol, 1, 5).body["order_id"]
    broker.place("bid", symbol, 1, 5)
    answer = broker.cancel(order_id)
    is_problem(answer, 409, "too_late_to_cancel")
    assert answer.body["order"] == broker.order(order_id)


def test_client_order_id_with_other_content_is_409(exchange: Exchange, broker: Api) -> None:
    symbol = exchange.symbol()
    first = broker.place("bid", symbol, 1, 5, client_order_id="c-1")
    again = broker.place("bid", symbol, 1, 5, client_order_id="c-1")
    assert (first.status, again.status) == (201, 200)
    assert again.body == first.body
    other = broker.place("bid", symbol, 2, 5, client_order_id="c-1")
    is_problem(other, 409, "client_order_id_reused")
    assert other.body["order"] == first.body


def test_preferences_are_applied_and_named_in_the_answer(exchange: Exchange, broker: Api) -> None:
    symbol = exchange.symbol()
    body = order(symbol=symbol)
    pending = broker.call("POST", "/orders", body, {"Prefer": "respond-async"})
    assert (pending.status, pending.headers["preference-applied"]) == (202, "respond-async")
    assert pending.headers["location"] == f"/orders/{pending.body['order_id']}"
    # 503 until its outcome is there.
    eventually("it rests", lambda: broker.get(f"/orders/{pending.body['order_id']}").status == 200)
    assert broker.order(pending.body["order_id"])["status"] == "open"
    waited = broker.call("POST", "/orders", body, {"Prefer": "wait=5"})
    assert (waited.status, waited.headers["preference-applied"]) == (201, "wait=5")
    gone = broker.cancel(waited.body["order_id"], {"Prefer": "return=representation"})
    assert (gone.status, gone.body["closed_reason"]) == (200, "cancelled")


def test_request_id_of_the_client_is_returned(broker: Api) -> None:
    answer = broker.call("POST", "/orders", b"{", {"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == answer.body["request_id"] == "mine-1"
