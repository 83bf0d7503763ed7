"""Decodes and validates the body of a batch. Pure: no clock, no randomness, no I/O.

A batch with any fault is refused as a whole. A valid one is decoded once, strictly; only a refused
or unusual one is decoded a second time, so that the problem lists its faults.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, structs

from schemas.batch import BATCH_ITEMS_MAX, BatchCancel, BatchOrder, BatchReplace, BatchRequest
from schemas.rest import FieldFault
from schemas.units import CLIENT_ORDER_ID_WINDOW_MS
from services.api.decoding import (
    DECODE_ERRORS,
    Faults,
    JsonObject,
    has_single_names,
    invalid_fields,
    not_utf8,
    object_faults,
    read_json,
)
from services.ingest.admission import (
    contradictions,
    names_given,
    order_faults,
    replacement_faults,
)

# Beyond this many faults the rest is left out: 64 KiB can have thousands.
FAULTS_MAX: Final = 100
KINDS: Final[dict[str, type[Struct]]] = {
    "place": BatchOrder,
    "cancel": BatchCancel,
    "replace": BatchReplace,
}
_ONE_KIND: Final = f"needs exactly one of {', '.join(KINDS)}"

Item = tuple[str, Any]
"""Kind and content of an item."""
# Of orders: symbol and client order id.
_Names = set[tuple[Any, Any]]


class _RawBody(Struct, frozen=True):
    # Of a body that is valid: its items one by one, so that their names can be compared.
    items: list[Raw]


class _ReadBody(Struct, frozen=True):
    # Body and item for a body that was read already: their own fields, not what these contain.
    items: Annotated[list[Any], Meta(min_length=1, max_length=BATCH_ITEMS_MAX)]


# Fields that name the order of a cancel or a replacement.
_NAMING: Final = ("order_id", "symbol", "client_order_id")
_NAMED_ONCE: Final = frozenset({("order_id",), ("symbol", "client_order_id")})
_NOT_NAMED: Final = "needs order_id, or symbol and client_order_id"
_OF_THIS_BATCH: Final = (
    "names an order of this batch, whose quantity is not known before its outcome"
)
_ReadItem = msgspec.defstruct("_ReadItem", [(kind, Any, UNSET) for kind in KINDS])


_decode = msgspec.json.Decoder(BatchRequest).decode
_split = msgspec.json.Decoder(_RawBody).decode


def admit_batch(body: bytes, now_ms: int) -> list[Item]:
    """The items of a body. Raises ProblemError: malformed_json or invalid."""
    oldest_ms = now_ms - CLIENT_ORDER_ID_WINDOW_MS
    try:
        items, is_plain = _decoded(body, now_ms, oldest_ms)
    except DECODE_ERRORS:
        items, is_plain = [], False
    if not is_plain:
        faults = list(islice(_faults(read_json(body), now_ms, oldest_ms), FAULTS_MAX))
        if faults:
            raise invalid_fields(faults)
        if not items:
            raise not_utf8()
    return items


def _decoded(body: bytes, now_ms: int, oldest_ms: int) -> tuple[list[Item], bool]:
    # The items, and False if they may have a fault that the strict decoder accepts.
    items: list[Item] = []
    # Names that an item and its content have at least, after that of `items`.
    names = 1
    is_plain = True
    placed: _Names = set()
    for item in _decode(body).items:
        found = [
            pair for pair in zip(KINDS, structs.astuple(item), strict=True) if pair[1] is not UNSET
        ]
        is_plain = is_plain and len(found) == 1
        items += found
        for kind, content in found:
            names += 1
            if kind == "place":
                names += names_given(content)
                is_plain = is_plain and not order_faults(content, now_ms, oldest_ms)
                placed.add((content.symbol, content.client_order_id))
                continue
            fields = structs.asdict(content)
            names += len(_naming(fields))
            is_plain = is_plain and not _naming_faults(kind, fields, placed)
            if kind == "replace":
                names += (content.quantity is not None) + (content.price is not None)
                is_plain = is_plain and not replacement_faults(fields, now_ms)
    return items, is_plain and _has_single_names(body, names)


def _naming(fields: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in _NAMING if fields.get(name, UNSET) is not UNSET)


def _naming_faults(kind: str, fields: dict[str, Any], placed: _Names) -> Faults:
    """Faults of the name of an order. `placed`: names of the orders of the items before."""
    if any(name not in fields for name in _NAMING):
        # It is a fault by itself.
        return []
    if _naming(fields) not in _NAMED_ONCE:
        return [FieldFault("", _NOT_NAMED)]
    if kind == "replace" and (fields["symbol"], fields["client_order_id"]) in placed:
        return [FieldFault("/client_order_id", _OF_THIS_BATCH)]
    return []


def _has_single_names(body: bytes, names: int) -> bool:
    # An escape could write a name in another spelling. Each name has a colon, so with no more
    # colons than names no name is there twice.
    if b"\\" in body:
        return False
    return body.count(b":") == names or (
        body.count(b'"items"') == 1
        and all(has_single_names(bytes(raw)) for raw in _split(body).items)
    )


def _faults(read: Any, now_ms: int, oldest_ms: int) -> Iterator[FieldFault]:
    faults, body = object_faults(read, _ReadBody)
    yield from faults
    placed: _Names = set()
    for number, item in enumerate(body.get("items", ())):
        parent = f"/items/{number}"
        faults, fields = object_faults(item, _ReadItem, parent)
        yield from faults
        given = [kind for kind in KINDS if fields.get(kind, UNSET) is not UNSET]
        if isinstance(item, JsonObject) and len(given) != 1:
            yield FieldFault(parent, _ONE_KIND)
        for kind in given:
            pointer = f"{parent}/{kind}"
            faults, content = object_faults(fields[kind], KINDS[kind], pointer)
            yield from faults
            if isinstance(fields[kind], JsonObject):
                for fault in _contradictions(kind, content, (now_ms, oldest_ms), placed):
                    yield FieldFault(pointer + fault.pointer, fault.detail)


def _contradictions(
    kind: str, fields: dict[str, Any], times_ms: tuple[int, int], placed: _Names
) -> Faults:
    """Faults between the valid fields of a content; an order is added to `placed`."""
    if kind == "place":
        placed.add((fields.get("symbol"), fields.get("client_order_id")))
        return contradictions(fields, *times_ms)
    faults = _naming_faults(kind, fields, placed)
    return faults + replacement_faults(fields, times_ms[0]) if kind == "replace" else faults
