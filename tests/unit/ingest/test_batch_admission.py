"""Bodies of `POST /orders/batch`: what is admitted, and every fault of what is not."""

import json
from typing import Any

import msgspec
import pytest

from schemas.batch import BATCH_BYTES_MAX, BatchItem
from services.api.messages import ProblemError
from services.ingest import app_batch
from services.ingest.batch_admission import FAULTS_MAX, KINDS, admit_batch

NOW_MS = 1_800_000_000_000
ORDER = {
    "document_number": "1",
    "side": "bid",
    "symbol": "A",
    "quantity": 10,
    "price": 5,
    "client_order_id": "a-1",
}
PLACE = {"place": ORDER}
CANCEL = {"cancel": {"order_id": "x"}}
NAME = {"symbol": "A", "client_order_id": "a-1"}
ESCAPED = b'{"items":[{"cancel":{"order_id":"x"}}],"it\\u0065ms":[{"cancel":{"order_id":"y"}}]}'


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ORDER.items() if key != name}


def faults_of(body: Any) -> list[str]:
    """Pointers of the faults, or the code of another problem."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ProblemError) as raised:
        admit_batch(raw, NOW_MS)
    problem = raised.value
    return [problem.code] if problem.errors is None else [each.pointer for each in problem.errors]


def items(*given: Any) -> dict[str, Any]:
    return {"items": list(given)}


def test_items_are_admitted_in_their_order() -> None:
    body = json.dumps(items(CANCEL, PLACE, CANCEL)).encode()
    assert [kind for kind, _ in admit_batch(body, NOW_MS)] == ["cancel", "place", "cancel"]


def test_orders_named_by_client_order_id_are_admitted() -> None:
    replace = {"replace": NAME | {"price": 6}}
    admitted = admit_batch(json.dumps(items(replace, PLACE, {"cancel": NAME})).encode(), NOW_MS)
    assert [kind for kind, _ in admitted] == ["replace", "place", "cancel"]
    assert [content.client_order_id for _, content in admitted] == ["a-1"] * 3


def test_hundred_items_are_admitted() -> None:
    assert len(admit_batch(json.dumps(items(*[PLACE] * 100)).encode(), NOW_MS)) == 100


@pytest.mark.parametrize("order_id", ["items", 'say \\"items\\":', "é"])
def test_texts_that_look_like_names_are_admitted(order_id: str) -> None:
    body = f'{{"items":[{{"cancel":{{"order_id":"{order_id}"}}}}]}}'.encode()
    assert len(admit_batch(body, NOW_MS)) == 1


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"x", ["malformed_json"]),
        (b"", ["malformed_json"]),
        (b"[" * 60_000, ["malformed_json"]),
        (b'{"items":[{"cancel":{"order_id":"\\ud800"}}]}', ["malformed_json"]),
        (b'{"items":[{"cancel":{"order_id":"\xff"}}]}', ["malformed_json"]),
        ([], [""]),
        (None, [""]),
        ({}, ["/items"]),
        (items(), ["/items"]),
        ({"items": {}}, ["/items"]),
        (items(*[CANCEL] * 101), ["/items"]),
        (items(CANCEL) | {"atomic": True}, ["/atomic"]),
        (items(CANCEL, {}), ["/items/1"]),
        (items({**PLACE, **CANCEL}), ["/items/0"]),
        (items(3, CANCEL, [], None), ["/items/0", "/items/2", "/items/3"]),
        (items({"amend": {}}), ["/items/0/amend", "/items/0"]),
        (items({**PLACE, "amend": {}}), ["/items/0/amend"]),
        (items({"place": None}, {"cancel": []}), ["/items/0/place", "/items/1/cancel"]),
        (items({"cancel": {}}), ["/items/0/cancel"]),
        (items({"cancel": {"order_id": 3}}), ["/items/0/cancel/order_id"]),
        (items({"cancel": {"order_id": None}}), ["/items/0/cancel/order_id"]),
        (items({"cancel": {"symbol": "A"}}), ["/items/0/cancel"]),
        (items({"cancel": NAME | {"order_id": "x"}}), ["/items/0/cancel"]),
        (items({"cancel": NAME | {"symbol": "a"}}), ["/items/0/cancel/symbol"]),
        (
            items({"replace": {"client_order_id": "a-1", "price": 6}}, {"replace": NAME}),
            ["/items/0/replace", "/items/1/replace"],
        ),
        (items(PLACE, {"replace": NAME | {"price": 6}}), ["/items/1/replace/client_order_id"]),
        (items({"place": without("client_order_id")}), ["/items/0/place/client_order_id"]),
        (items({"place": ORDER | {"client_order_id": None}}), ["/items/0/place/client_order_id"]),
        (items({"place": without("price")}), ["/items/0/place/price"]),
        (
            items(CANCEL, {"place": ORDER | {"valid_until": "2001-01-01T00:00:00Z"}}),
            ["/items/1/place/valid_until"],
        ),
        (
            items({"place": ORDER | {"colour": 1, "quantity": "10"}}, {"cancel": {"order_id": 1}}),
            ["/items/0/place/quantity", "/items/0/place/colour", "/items/1/cancel/order_id"],
        ),
        (b'{"items":[],"items":[{"cancel":{"order_id":"x"}}]}', ["/items"]),
        (ESCAPED, ["/items"]),
        (b'{"items":[{"cancel":{"order_id":"x","order_id":"x"}}]}', ["/items/0/cancel/order_id"]),
        (b'{"items":[{"cancel":{"order_id":3},"cancel":{"order_id":"x"}}]}', ["/items/0/cancel"]),
    ],
)
def test_faulty_body_is_refused_with_every_fault(body: Any, pointers: list[str]) -> None:
    # The fault of a value that is given twice may be listed for that value too.
    assert list(dict.fromkeys(faults_of(body))) == pointers


@pytest.mark.parametrize(
    "again",
    [
        '"price":6',
        '"client_order_id":"a-1"',
        '"order_type":"limit","order_type":"limit"',
        '"post_only":false,"post_only":false',
        '"valid_until":null,"valid_until":null',
        '"minimum_quantity":null,"minimum_quantity":1',
    ],
)
@pytest.mark.parametrize("others", [[], [PLACE], [CANCEL, PLACE]])
def test_field_of_an_order_given_twice_is_refused(again: str, others: list[Any]) -> None:
    twice = f"{json.dumps(ORDER)[:-1]},{again}}}"
    body = json.dumps(items(*others, {"place": 0})).replace('"place": 0', f'"place":{twice}')
    name = again.split(":", maxsplit=1)[0].strip('"')
    assert faults_of(body.encode()) == [f"/items/{len(others)}/place/{name}"]


def test_order_given_twice_in_an_item_is_refused() -> None:
    place = f'"place":{json.dumps(ORDER)}'
    assert faults_of(f'{{"items":[{{{place},{place}}}]}}'.encode()) == ["/items/0/place"]


def test_defaults_and_values_with_colons_are_admitted() -> None:
    order = ORDER | {"client_order_id": "a:1", "order_type": "limit", "post_only": False}
    ((kind, admitted),) = admit_batch(json.dumps(items({"place": order})).encode(), NOW_MS)
    assert (kind, admitted.client_order_id) == ("place", "a:1")


def test_faults_of_a_large_body_are_bounded() -> None:
    names = ",".join(f'"{number}":1' for number in range(7_000))
    body = f'{{"items":[{{{names}}}]}}'.encode()
    assert BATCH_BYTES_MAX * 0.9 < len(body) <= BATCH_BYTES_MAX
    assert len(faults_of(body)) == FAULTS_MAX


def test_every_kind_of_item_is_admitted_and_handled() -> None:
    fields = [field.name for field in msgspec.structs.fields(BatchItem)]
    assert list(KINDS) == fields == list(app_batch.KINDS)
