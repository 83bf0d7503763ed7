"""The message codec: both sides of every bound of every field, and malformed bytes."""

import json
from typing import Any, Final

import pytest
from msgspec import structs

from schemas import codec
from schemas.commands import CancelOrder, EnterOrder, PlaceOrder, Tick
from schemas.executions import (
    CancelledOrder,
    Claim,
    Expired,
    Fill,
    OrderAccepted,
    OrdersCancelled,
    Outcome,
    Outcomes,
    Prevented,
    StopElected,
)
from schemas.topics import RECORD_BYTES_MAX
from schemas.units import PRICE_CENTS_MAX, QUANTITY_MAX, TIMESTAMP_MS_MAX
from tests.support.orders import BROKER, cancel, limit, market, order_id

ID: Final = order_id(1)
ORDER: Final[dict[str, Any]] = {
    "type": "place_order",
    "order_id": ID,
    "broker_id": BROKER,
    "document_number": "12345678909",
    "symbol": "PETR4",
    "side": "bid",
    "order_type": "limit",
    "quantity": 100,
    "price": 1_000,
    "valid_until": 1_782_997_200_000,
    "client_order_id": "desk:1",
}

WITHIN: Final[dict[str, list[Any]]] = {
    "order_id": ["0" * 8 + "-0000-0000-0000-" + "f" * 12],
    "broker_id": ["0" * 8 + "-0000-0000-0000-" + "f" * 12],
    "document_number": ["1", "x" * 20, "12.345/6-7", " ", "é€😀"],
    # The last two are refused for new orders, but are in older command logs.
    "symbol": ["A", "ABCDEFGHIJ", "A.B_C-9", "0", ".", ".."],
    "side": ["bid", "ask"],
    "quantity": [1, QUANTITY_MAX],
    "price": [1, PRICE_CENTS_MAX],
    "valid_until": [None, 0, 1, TIMESTAMP_MS_MAX],
    "client_order_id": [None, "a", "z" * 64, "A.z_0:9-"],
}

NO_INTEGERS: Final[list[Any]] = [
    1.5,
    1.0e300,
    True,
    False,
    "10",
    "",
    [],
    {},
    -1,
    2**63,
    2**64,
    10**30,
]
NO_TEXTS: Final[list[Any]] = ["", 1, 1.5, True, [], {}, "\0", "a\0", "a\n", "\n", "a\x1f", "a\x7f"]
NO_IDS: Final[list[Any]] = [
    *NO_TEXTS,
    None,
    ID[:-1],
    ID + "0",
    ID + "\n",
    "\n" + ID,
    ID.upper(),
    ID.replace("-", ""),
    "{" + ID[1:-1] + "}",
    "g" + ID[1:],
    ID[:-1] + "\0",
]
OUTSIDE: Final[dict[str, list[Any]]] = {
    "order_id": NO_IDS,
    "broker_id": NO_IDS,
    "document_number": [*NO_TEXTS, None, "x" * 21, "12345678909\n", "a\tb"],
    "symbol": [
        *NO_TEXTS,
        None,
        "ABCDEFGHIJK",
        "petr4",
        "PETR/4",
        "PETR 4",
        "PETR4\n",
        "PETR4\0",
        "É",
        "\u0661",
    ],
    "side": [*NO_TEXTS, None, "BID", "buy", "bid\n"],
    "order_type": [*NO_TEXTS, None, "LIMIT", "stop"],
    "quantity": [*NO_INTEGERS, None, 0, QUANTITY_MAX + 1],
    "price": [*NO_INTEGERS, 0, PRICE_CENTS_MAX + 1],
    "valid_until": [*NO_INTEGERS, TIMESTAMP_MS_MAX + 1, "2026-11-23T13:00:00Z"],
    "client_order_id": [*NO_TEXTS, "z" * 65, "a b", "a/b", "é", "desk:1\n", "desk:1\0"],
    "type": [*NO_TEXTS, None, "PlaceOrder", "place_order\n"],
}


def pairs(table: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(field, value) for field, values in table.items() for value in values]


def raw(**changes: Any) -> bytes:
    return json.dumps(ORDER | changes).encode()


def raw_number(field: str, literal: str) -> bytes:
    """The order with one number replaced by a literal, byte for byte."""
    return raw(**{field: 123_454_321}).replace(b"123454321", literal.encode())


@pytest.mark.parametrize(("field", "value"), pairs(WITHIN), ids=ascii)
def test_place_order_within_a_bound_is_read_and_written_back(field: str, value: Any) -> None:
    order = codec.decode_command(raw(**{field: value}))
    assert isinstance(order, PlaceOrder)
    assert getattr(order, field) == value
    assert codec.decode_command(codec.encode(order)) == order


@pytest.mark.parametrize(("field", "value"), pairs(OUTSIDE), ids=ascii)
def test_place_order_outside_a_bound_is_unreadable(field: str, value: Any) -> None:
    with pytest.raises(codec.UnreadableError):
        codec.decode_command(raw(**{field: value}))


REQUIRED: Final = [
    name for name in ORDER if name not in ("price", "valid_until", "client_order_id")
]


@pytest.mark.parametrize("field", REQUIRED)
def test_place_order_without_a_field_is_unreadable(field: str) -> None:
    kept = {name: value for name, value in ORDER.items() if name != field}
    with pytest.raises(codec.UnreadableError):
        codec.decode_command(json.dumps(kept).encode())


STRANGE_NUMBERS: Final = (
    *("1e400", "-1e400", "1.5", "1.0", "100.0", "1e2", "1E2", "1e-1", "0.1", "-0.5", "-0.0"),
    *("NaN", "Infinity", "-Infinity", "0x10", "01", "+1", "1_000", ""),
    *("9" * 400, "1" + "0" * 5_000, "-9223372036854775809"),
)


@pytest.mark.parametrize("field", ["quantity", "price", "valid_until"])
@pytest.mark.parametrize(
    "literal",
    STRANGE_NUMBERS,
    ids=lambda literal: literal[:24] or "nothing",
)
def test_place_order_with_an_invalid_number_is_unreadable(field: str, literal: str) -> None:
    with pytest.raises(codec.UnreadableError):
        codec.decode_command(raw_number(field, literal))


@pytest.mark.parametrize("changes", [{"price": None}, {"order_type": "market"}])
def test_place_order_whose_price_does_not_fit_its_type_is_unreadable(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(codec.UnreadableError, match="market order has none"):
        codec.decode_command(raw(**changes))


BROKEN: Final[dict[str, bytes | None]] = {
    "no value": None,
    "empty": b"",
    "space": b"  ",
    "no json": b"buy!",
    "cut off": raw()[:-1],
    "two values": raw() + raw(),
    "number": b"1",
    "null": b"null",
    "list": b"[]",
    "nested lists": b"[" * 10_000 + b"]" * 10_000,
    "nested objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "nested in an unknown field": raw()[:-1] + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "invalid utf-8": raw().replace(b"PETR4", b"PETR\xff"),
    "overlong utf-8": raw().replace(b"12345678909", b"1234\xc0\x80"),
    "surrogate in utf-8": raw().replace(b"12345678909", b"12\xed\xa0\x80"),
    "lone high surrogate": raw().replace(b"12345678909", b"12\\ud800"),
    "lone low surrogate": raw().replace(b"12345678909", b"12\\udc00"),
    "escaped nul": raw().replace(b"12345678909", b"12\\u0000"),
    "raw nul": raw().replace(b"12345678909", b"12\x00"),
    "raw newline": raw().replace(b"12345678909", b"12\n"),
    "utf-16": raw().decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + raw(),
}


@pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN.keys())
def test_command_of_malformed_bytes_is_unreadable(value: bytes | None) -> None:
    with pytest.raises(codec.UnreadableError):
        codec.decode_command(value)


def test_records_of_other_topics_with_malformed_bytes_are_unreadable() -> None:
    for value in BROKEN.values():
        with pytest.raises(codec.UnreadableError):
            codec.decode_execution(value)
        with pytest.raises(codec.UnreadableError):
            codec.decode_trade(value)
        with pytest.raises(codec.UnreadableError):
            codec.decode_book_update(value)
        with pytest.raises(codec.UnreadableError):
            codec.decode_broker(value)
        with pytest.raises(codec.UnreadableError):
            codec.decode_listing(value)


@pytest.mark.parametrize("command", [limit(), market(), cancel(), Tick()])
def test_command_encoded_then_decoded_is_the_same(
    command: PlaceOrder | CancelOrder | Tick,
) -> None:
    assert codec.decode_command(codec.encode(command)) == command


@pytest.mark.parametrize("field", ["order_id", "broker_id"])
@pytest.mark.parametrize("value", NO_IDS, ids=ascii)
def test_cancel_order_with_a_malformed_id_is_unreadable(field: str, value: Any) -> None:
    document = {"type": "cancel_order", "order_id": ID, "broker_id": BROKER} | {field: value}
    with pytest.raises(codec.UnreadableError):
        codec.decode_command(json.dumps(document).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"partition": -1},
        {"partition": 4096},
        {"share_ppm": -1},
        {"share_ppm": 1_000_001},
        {"symbol": "x"},
    ],
    ids=str,
)
def test_listing_outside_a_bound_is_unreadable(changes: dict[str, Any]) -> None:
    listing = {"symbol": "PETR4", "partition": 4095, "share_ppm": 1_000_000}
    assert codec.encode(codec.decode_listing(json.dumps(listing).encode()))
    with pytest.raises(codec.UnreadableError):
        codec.decode_listing(json.dumps(listing | changes).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "Alfa\0"},
        {"name": "Alfa\n"},
        {"api_key_hash": "0" * 63},
        {"api_key_hash": "0" * 65},
        {"api_key_hash": "A" * 64},
        {"api_key_hash": "0" * 64 + "\n"},
        {"created_at": -1},
        {"revoked_at": -1},
        {"former_key_hash": "0" * 63},
        {"former_key_until": TIMESTAMP_MS_MAX + 1},
        {"created_at": TIMESTAMP_MS_MAX + 1},
        {"broker_id": "x"},
    ],
    ids=str,
)
def test_broker_outside_a_bound_is_unreadable(changes: dict[str, Any]) -> None:
    broker = {
        "broker_id": BROKER,
        "name": "x" * 100,
        "api_key_hash": "0" * 64,
        "created_at": TIMESTAMP_MS_MAX,
    }
    assert codec.encode(codec.decode_broker(json.dumps(broker).encode()))
    with pytest.raises(codec.UnreadableError):
        codec.decode_broker(json.dumps(broker | changes).encode())


def test_is_claim_of_any_execution_agrees_with_the_decoder() -> None:
    assert codec.is_claim(codec.encode(Claim("a")))
    assert not codec.is_claim(codec.encode(Outcomes(1, 2, ())))
    assert not codec.is_claim(b"")
    assert not codec.is_claim(None)


def test_outcome_of_the_largest_command_fits_one_record() -> None:
    most = 10_000
    fill = Fill(ID, 10**12, PRICE_CENTS_MAX, QUANTITY_MAX, ID, BROKER, QUANTITY_MAX)
    expired = Expired(ID, BROKER, "ABCDEFGHIJ", QUANTITY_MAX, 10**12)
    event = OrderAccepted(
        order_id=ID,
        broker_id=BROKER,
        document_number="😀" * 20,
        symbol="ABCDEFGHIJ",
        side="bid",
        order_type="limit",
        quantity=QUANTITY_MAX,
        remaining_quantity=QUANTITY_MAX,
        book_sequence=10**12,
        price=PRICE_CENTS_MAX,
        valid_until=TIMESTAMP_MS_MAX,
        client_order_id="z" * 64,
        closed_reason="no_liquidity",
        fills=(fill,) * most,
    )
    stop = StopElected(
        order_id=ID,
        broker_id=BROKER,
        symbol="ABCDEFGHIJ",
        side="bid",
        trigger_price=PRICE_CENTS_MAX,
        remaining_quantity=QUANTITY_MAX,
        book_sequence=10**12,
        price=PRICE_CENTS_MAX,
        valid_until=TIMESTAMP_MS_MAX,
        closed_reason="no_liquidity",
    )
    # Own orders that a taker comes to share the bound of the fills.
    assert len(codec.encode(Prevented(ID, QUANTITY_MAX, most))) < len(codec.encode(fill))
    # The bounds of a command; elected stops share that of the fills.
    elected = (stop,) * 1_000
    outcome = Outcome(TIMESTAMP_MS_MAX, event, (expired,) * most, (), elected)
    assert len(codec.encode(Outcomes(10**12, 10**12, (outcome,)))) < RECORD_BYTES_MAX
    # Stops that an earlier command elected take before orders are cancelled together.
    cancelled = (CancelledOrder(ID, "ABCDEFGHIJ", QUANTITY_MAX, 10**12),) * most
    mass = OrdersCancelled(BROKER, "0" * 16, cancelled, more=True)
    before = (*elected[1:], structs.replace(stop, fills=(fill,) * most))
    outcome = Outcome(TIMESTAMP_MS_MAX, mass, (expired,) * most, before)
    assert len(codec.encode(Outcomes(10**12, 10**12, (outcome,)))) < RECORD_BYTES_MAX


NO_TIMES_IN_FORCE: Final[list[Any]] = ["", "IOC", "days", 1, True, []]
NO_BOOLEANS: Final[list[Any]] = [None, 0, 1, "true", []]
ENTERED: Final[dict[str, Any]] = {**ORDER, "type": "enter_order", "valid_until": None}


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"valid_until": 1},
        {"time_in_force": "gtc", "valid_until": 1, "post_only": True},
        {"time_in_force": "ioc", "minimum_quantity": 100},
        {"time_in_force": "fok"},
        {"post_only": True},
        {"minimum_quantity": 1},
        {"order_type": "market", "price": None, "minimum_quantity": 100},
        {"order_type": "market", "price": None, "time_in_force": "fok"},
    ],
)
def test_conditions_that_go_together_are_decoded(conditions: dict[str, Any]) -> None:
    command = codec.decode_command(json.dumps(ENTERED | conditions).encode())
    assert isinstance(command, EnterOrder)
    assert codec.decode_command(codec.encode(command)) == command


@pytest.mark.parametrize(
    "conditions",
    [
        {"price": None},
        {"order_type": "market"},
        {"order_type": "market", "price": None, "time_in_force": "gtc"},
        {"order_type": "market", "price": None, "time_in_force": "day"},
        {"order_type": "market", "price": None, "post_only": True},
        {"time_in_force": "day", "valid_until": 1},
        {"time_in_force": "day", "valid_until": 1, "stop_price": 9},
        {"time_in_force": "ioc", "valid_until": 1},
        {"time_in_force": "fok", "valid_until": 1},
        {"time_in_force": "ioc", "post_only": True},
        {"time_in_force": "fok", "post_only": True},
        {"time_in_force": "fok", "minimum_quantity": 1},
        {"post_only": True, "minimum_quantity": 1},
        {"minimum_quantity": 101},
        *({"minimum_quantity": value} for value in (*NO_INTEGERS, 0, QUANTITY_MAX + 1)),
        *({"time_in_force": value} for value in NO_TIMES_IN_FORCE),
        *({"post_only": value} for value in NO_BOOLEANS),
        {"broker_id": "x"},
    ],
)
def test_conditions_that_contradict_each_other_are_unreadable(conditions: dict[str, Any]) -> None:
    with pytest.raises(codec.UnreadableError):
        codec.decode_command(json.dumps(ENTERED | conditions).encode())
