"""Validation of orders and registrations: valid ones are admitted, faults named by JSON pointer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from schemas.units import CLIENT_ORDER_ID_WINDOW_MS, PRICE_CENTS_MAX, QUANTITY_MAX, rfc3339
from services.api.body import require_no_fields
from services.api.messages import ProblemError
from services.ingest.admission import admit, admit_registration
from services.matcher.rules import RULES

NOW_MS = 1_800_000_000_000  # 2027-01-15T08:00:00Z
GOOD = {
    "document_number": "12345678901",
    "side": "bid",
    "symbol": "PETR4",
    "quantity": 100,
    "price": 3712,
}


def refused(body: bytes, admitting: Callable[[bytes], object] | None = None) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        (admitting or (lambda b: admit(b, NOW_MS)))(body)
    return caught.value


def pointers(problem: ProblemError) -> list[str]:
    assert (problem.status, problem.code) == (422, "invalid")
    assert problem.errors is not None
    assert all(fault.detail for fault in problem.errors)
    # Pointers are part of the response, so they must be encodable.
    problem.response("id")
    return [fault.pointer for fault in problem.errors]


def order(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in (GOOD | changes).items() if v is not ...}).encode()


def raw_order(name: str, text: str) -> bytes:
    return order(**{name: "@@"}).replace(b'"@@"', text.encode())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"order_type": "limit"},
        {"order_type": "market", "price": ...},
        {"order_type": "market", "price": None},
        {"side": "ask"},
        {"valid_until": None},
        {"valid_until": "2027-01-15T08:00:00.001Z"},
        {"valid_until": "2027-01-15T05:00:01-03:00"},
        {"valid_until": "9999-12-31T23:59:59.999Z"},
        {"client_order_id": "A-z_0:9."},
        {"client_order_id": None},
        {"client_order_id": "x" * 64},
        {"price": 1, "quantity": 1},
        {"price": PRICE_CENTS_MAX, "quantity": QUANTITY_MAX},
        {"symbol": "A"},
        {"symbol": "A.B-C_9999"},
        {"symbol": "..."},
        {"symbol": ".A"},
        {"document_number": "é" * 20},
    ],
)
def test_valid_order_is_admitted_unchanged(changes: dict[str, Any]) -> None:
    admitted = admit(order(**changes), NOW_MS)
    for name, value in (GOOD | changes).items():
        if name != "valid_until" and value is not ...:
            assert getattr(admitted, name) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"side":',
        b"}",
        b"{}x",
        b"{'side': 'bid'}",
        b'{"document_number":"\xff"}',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"price":NaN}',
        b'{"price":Infinity}',
        b'{"price":-Infinity}',
        b'{"price":01}',
        b'{"price":+1}',
        b"[" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"price":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"price":' + b"9" * 5_000 + b"}",
        json.dumps(GOOD).replace("12345678901", "\\ud800").encode(),
    ],
)
def test_body_that_is_not_json_is_malformed(body: bytes) -> None:
    problem = refused(body)
    assert (problem.status, problem.code, problem.errors) == (400, "malformed_json", None)


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true", b"1.5", b"[{}]"])
def test_json_that_is_not_an_object_is_invalid(body: bytes) -> None:
    assert pointers(refused(body)) == [""]


@pytest.mark.parametrize("name", ["price", "quantity"])
@pytest.mark.parametrize(
    "text",
    [
        "0", "-1", "1.5", "1.0", "1e2", '"10"', '""', "true", "false", "[]", "{}", "1e400", "-0",
        "1000000001", "9223372036854775807", "9223372036854775808", "18446744073709551616",
    ],
)  # fmt: skip
def test_number_outside_its_bounds_or_type_is_refused(name: str, text: str) -> None:
    assert pointers(refused(raw_order(name, text))) == [f"/{name}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            ("symbol", bad)
            for bad in ("", "A" * 11, "petr4", "A/B", "A\x00", "A\n", "A B", "Ä", ".", "..", "..\n")
        ],
        *[("symbol", bad) for bad in (1, None, True, [1], {"a": 1})],
        *[("side", bad) for bad in ("", "buy", "BID", 1, None, True, ["bid"])],
        *[("order_type", bad) for bad in ("", "trailing", "LIMIT", 1, None)],
        *[("document_number", bad) for bad in ("", "1" * 21, "1\x00", "1\n", "\x7f", 1, None)],
        *[("client_order_id", bad) for bad in ("", "x" * 65, "a b", "a/b", "é", "a\n", 1, True)],
        *[("quantity", bad) for bad in (None, "x")],
    ],
)
def test_field_with_an_invalid_value_is_refused(name: str, value: object) -> None:
    assert pointers(refused(order(**{name: value}))) == [f"/{name}"]


@pytest.mark.parametrize(
    "value",
    [
        "2027-01-15T08:00:00Z",
        "2027-01-15T08:00:00.000Z",
        "2020-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "2028-01-01T00:00:00",
        "2028-01-01",
        "2028-13-01T00:00:00Z",
        "2028-01-01T25:00:00Z",
        "9999-12-31T23:59:59.9999Z",
        "9999-12-31T23:59:59-23:59",
        "10000-01-01T00:00:00Z",
        "+999999-01-01T00:00:00Z",
        "tomorrow",
        "",
        1_900_000_000,
        1_900_000_000_000.5,
        True,
        [],
    ],
)
@pytest.mark.parametrize("kind", [{}, {"order_type": "market", "price": None}])
def test_valid_until_that_is_not_a_future_instant_is_refused(
    value: object, kind: dict[str, Any]
) -> None:
    assert pointers(refused(order(valid_until=value, **kind))) == ["/valid_until"]


@pytest.mark.parametrize("age_ms", [0, 1, 3_000, CLIENT_ORDER_ID_WINDOW_MS - 1])
def test_valid_until_in_the_past_is_admitted_with_a_client_order_id_only(age_ms: int) -> None:
    past = rfc3339(NOW_MS - age_ms)
    assert admit(order(valid_until=past, client_order_id="c-1"), NOW_MS).client_order_id == "c-1"
    for without in (..., None):
        body = order(valid_until=past, client_order_id=without)
        assert pointers(refused(body)) == ["/valid_until"]
    # Also where the client order id is refused, or another field is.
    assert pointers(refused(order(valid_until=past, client_order_id="no id"))) == [
        "/client_order_id",
        "/valid_until",
    ]
    assert pointers(refused(order(valid_until=past, client_order_id="c-1", side="buy"))) == [
        "/side"
    ]


def test_valid_until_older_than_the_window_of_client_order_ids_is_refused() -> None:
    past = rfc3339(NOW_MS - CLIENT_ORDER_ID_WINDOW_MS)
    problem = refused(order(valid_until=past, client_order_id="c-1"))
    assert pointers(problem) == ["/valid_until"]
    assert problem.detail == "/valid_until: is too long ago, even for a retry"


def test_window_of_client_order_ids_equals_that_of_the_engine() -> None:
    assert RULES.client_id_window_ms == CLIENT_ORDER_ID_WINDOW_MS


@pytest.mark.parametrize("name", [*GOOD, "order_type", "valid_until", "client_order_id", "odd"])
@pytest.mark.parametrize("value", ["a secret, in the wrong place", ["a secret"], {"x": "a secret"}])
def test_fault_does_not_contain_the_value(name: str, value: object) -> None:
    problem = refused(order(**{name: value}))
    assert pointers(problem) == [f"/{name}"]
    assert "secret" not in f"{problem.detail} {problem.errors}"


def test_unknown_enum_value_is_refused_with_the_valid_ones() -> None:
    assert refused(order(side="buy")).detail == "/side: must be one of bid, ask"
    assert refused(order(order_type=1)).detail == (
        "/order_type: must be one of limit, market, stop, stop_limit"
    )


def test_limit_order_without_price_and_market_order_with_one_are_refused() -> None:
    assert pointers(refused(order(price=...))) == ["/price"]
    assert pointers(refused(order(price=None))) == ["/price"]
    assert pointers(refused(order(order_type="market"))) == ["/price"]


def test_all_faults_are_reported_at_once() -> None:
    body = {
        "symbol": "petr4",
        "quantity": 1.5,
        "price": 10,
        "order_type": "market",
        "valid_until": "2020-01-01T00:00:00Z",
        "a/b~c": 1,
        "hidden": None,
    }
    assert sorted(pointers(refused(json.dumps(body).encode()))) == sorted(
        [
            "/document_number", "/side", "/symbol", "/quantity", "/price", "/valid_until",
            "/a~1b~0c", "/hidden",
        ]
    )  # fmt: skip


def test_field_set_by_the_exchange_is_refused_as_unknown() -> None:
    assert pointers(refused(order(broker_id="33be8111-b9b1-40c1-a6e6-2395694c9eef"))) == [
        "/broker_id"
    ]
    assert pointers(refused(order(order_id="1"))) == ["/order_id"]


@pytest.mark.parametrize(
    "again",
    [
        b',"price":5}',
        b',"price":3712}',
        b', "price" : 5}',
        b',"pr\\u0069ce":5}',
    ],
    ids=["another value", "the same value", "spaced", "escaped"],
)
def test_field_given_twice_is_refused(again: bytes) -> None:
    problem = refused(order()[:-1] + again)
    assert pointers(problem) == ["/price"]
    assert problem.detail == "/price: is given twice"


@pytest.mark.parametrize(
    "again",
    [
        b'"order_type":"limit","order_type":"limit"',
        b'"post_only":false,"post_only":true',
        b'"valid_until":null,"valid_until":null',
        b'"minimum_quantity":null,"minimum_quantity":1',
        b'"client_order_id":null,"client_order_id":null',
    ],
)
def test_optional_field_given_twice_is_refused(again: bytes) -> None:
    name = again.split(b'"')[1].decode()
    problem = refused(order()[:-1] + b"," + again + b"}")
    assert pointers(problem) == [f"/{name}"]


def test_value_that_names_another_field_does_not_hide_a_duplicate() -> None:
    body = order(document_number="order_type")[:-1] + b',"price":5}'
    assert pointers(refused(body)) == ["/price"]


def test_field_given_twice_with_a_wrong_value_is_refused_once() -> None:
    assert pointers(refused(order(price="x")[:-1] + b',"price":5}')) == ["/price"]


@pytest.mark.parametrize("text", ['"side":', "side", ':"side"', "\\"])
def test_value_that_looks_like_a_field_is_not_a_duplicate(text: str) -> None:
    assert admit(order(document_number=text), NOW_MS).document_number == text


def test_registration_that_gives_a_field_twice_is_refused() -> None:
    body = b'{"name":"Alfa","name":"Beta"}'
    assert pointers(refused(body, admit_registration)) == ["/name"]


def test_field_name_that_utf8_cannot_encode_is_reported_with_a_replacement() -> None:
    assert pointers(refused(order()[:-1] + b',"\\ud800":1}'))[0] in ("/?", "/�")


@pytest.mark.parametrize(
    "url",
    [
        None,
        "http://a",
        "https://broker.example:8443/trades?x=1",
        "http://127.0.0.1:9/",
        "http://[::1]/x",
    ],
)
def test_valid_registration_is_admitted(url: str | None) -> None:
    body = json.dumps({"name": "Alfa Corretora", "webhook_url": url}).encode()
    request = admit_registration(body)
    assert (request.name, request.webhook_url) == ("Alfa Corretora", url)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["/name"]),
        ({"name": ""}, ["/name"]),
        ({"name": "x" * 101}, ["/name"]),
        ({"name": "a\x00"}, ["/name"]),
        ({"name": 1}, ["/name"]),
        ({"name": "a", "admin": True}, ["/admin"]),
        *[
            ({"name": "a", "webhook_url": url}, ["/webhook_url"])
            for url in (
                "", "x", "ftp://a/", "http://", "http:///path", "http://[", "http://:80/",
                "http://a:99999/", "http://a:0/", "http://a b/", "javascript:alert(1)", 1,
                "http://" + "a" * 2048,
            )
        ],
        ({"name": "", "webhook_url": "http://:1"}, ["/name", "/webhook_url"]),
    ],
)  # fmt: skip
def test_invalid_registration_is_refused(body: dict[str, Any], expected: list[str]) -> None:
    assert pointers(refused(json.dumps(body).encode(), admit_registration)) == expected


def test_call_without_fields_refuses_any_field() -> None:
    for body in (b"", b"{}", b" { } ", b"null", b"\r\n", b" \t ", b" null\n"):
        require_no_fields(body)
    assert pointers(refused(b'{"a":1}', require_no_fields)) == ["/a"]
    assert pointers(refused(b"[]", require_no_fields)) == [""]
    assert pointers(refused(b'""', require_no_fields)) == [""]
    assert refused(b"x", require_no_fields).code == "malformed_json"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("stop_price", {"order_type": "stop", "price": None}),
        ("stop_price", {"order_type": "stop_limit"}),
        ("stop_price", {"stop_price": 9}),
        ("stop_price", {"order_type": "market", "price": None, "stop_price": 9}),
        ("price", {"order_type": "stop", "stop_price": 9}),
        ("price", {"order_type": "stop_limit", "price": None, "stop_price": 9}),
        ("stop_price", {"order_type": "stop_limit", "side": "bid", "price": 9, "stop_price": 10}),
        ("stop_price", {"order_type": "stop_limit", "side": "ask", "price": 9, "stop_price": 8}),
        *[
            (name, {"order_type": "stop", "price": None, "stop_price": 9, name: value})
            for name, value in (
                ("time_in_force", "ioc"),
                ("time_in_force", "fok"),
                ("post_only", True),
                ("minimum_quantity", 1),
                ("stop_price", 0),
                ("stop_price", True),
                ("stop_price", 1_000_000_001),
            )
        ],
    ],
)
def test_contradicting_fields_of_a_stop_order_are_refused(
    name: str, fields: dict[str, object]
) -> None:
    assert pointers(refused(order(**fields))) == [f"/{name}"]


@pytest.mark.parametrize(
    "fields",
    [
        {"order_type": "stop", "price": None, "stop_price": 9},
        {"order_type": "stop", "price": None, "stop_price": 9, "time_in_force": "gtc"},
        {"order_type": "stop_limit", "side": "bid", "price": 9, "stop_price": 9},
        {"order_type": "stop_limit", "side": "ask", "price": 9, "stop_price": 9},
    ],
)
def test_stop_order_is_admitted(fields: dict[str, object]) -> None:
    admitted = admit(order(**fields), NOW_MS)
    assert (admitted.order_type, admitted.stop_price) == (fields["order_type"], 9)
