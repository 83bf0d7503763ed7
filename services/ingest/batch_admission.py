"""Decodes and validates the body of a batch. Pure: no clock, no randomness, no I/O.

A batch with any fault is refused as a whole. A valid one is decoded once, strictly; only a refused
or unusual one is decoded a second time, so that the problem lists its faults.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, structs

from schemas.batch import BATCH_ITEMS_MAX, BatchCancel, BatchOrder, BatchReplace, BatchRequest
from schemas.rest import FieldFault
from schemas.units import CLIENT_ORDER_ID_WINDOW_MS
from services.api.decoding import (
    DECODE_ERRORS,
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


class _RawBody(Struct, frozen=True):
    # Of a body that is valid: its items one by one, so that their names can be compared.
    items: list[Raw]


class _ReadBody(Struct, frozen=True):
    # Body and item for a body that was read already: their own fields, not what these contain.
    items: Annotated[list[Any], Meta(min_length=1, max_length=BATCH_ITEMS_MAX)]


# By kind: fields without a default.
_NAMES_NEEDED: Final = {
    kind: sum(field.required for field in structs.fields(content))
    for kind, content in KINDS.items()
}
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
            else:
                names += _NAMES_NEEDED[kind]
            if kind == "replace":
                names += (content.quantity is not None) + (content.price is not None)
                is_plain = is_plain and not replacement_faults(structs.asdict(content), now_ms)
    return items, is_plain and _has_single_names(body, names)


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
    for number, item in enumerate(body.get("items", ())):
        parent = f"/items/{number}"
        faults, fields = object_faults(item, _ReadItem, parent)
        yield from faults
        given = [kind for kind in KINDS if fields.get(kind, UNSET) is not UNSET]
        if isinstance(item, JsonObject) and len(given) != 1:
            yield FieldFault(parent, _ONE_KIND)
        for kind in given:
            yield from _content_faults(kind, fields[kind], f"{parent}/{kind}", (now_ms, oldest_ms))


def _content_faults(
    kind: str, content: Any, parent: str, times_ms: tuple[int, int]
) -> Iterator[FieldFault]:
    faults, fields = object_faults(content, KINDS[kind], parent)
    yield from faults
    more: Sequence[FieldFault] = ()
    if kind == "place":
        more = contradictions(fields, *times_ms)
    elif kind == "replace":
        more = replacement_faults(fields, times_ms[0])
    for fault in more:
        yield FieldFault(parent + fault.pointer, fault.detail)
