"""What may enter: bytes and the time in, a request out, or a problem that names every fault.

Pure: no clock, no randomness, no I/O. A good request is decoded once, strictly; only one that is
refused is read a second time, field by field, so that its sender hears of all faults at once.
"""

import json
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import NODEFAULT, Struct

from schemas.rest import FieldFault, OrderRequest, RegisterRequest
from schemas.units import TIMESTAMP_MS_MAX, milliseconds
from services.api.messages import ProblemError

S = TypeVar("S", bound=Struct)
Faults = list[FieldFault]
# A body without a field is as good as none for a call that takes none.
_NOTHING = frozenset({b"", b"{}"})

_orders = msgspec.json.Decoder(OrderRequest)
_registers = msgspec.json.Decoder(RegisterRequest)


class NoFields(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a call that takes none."""


_nothing = msgspec.json.Decoder(NoFields)


def admit(body: bytes, now_ms: int) -> OrderRequest:
    """An order that may be written. Raises ProblemError: malformed_json or invalid."""
    try:
        order = _orders.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _refusal(body, OrderRequest, lambda fields: _contradictions(fields, now_ms)) from None
    faults = _contradictions(
        {
            "order_type": order.order_type,
            "price": order.price,
            "valid_until": order.valid_until,
        },
        now_ms,
    )
    if faults:
        raise _invalid(faults)
    return order


def admit_registration(body: bytes) -> RegisterRequest:
    """A broker that may be registered. Raises ProblemError."""
    try:
        request = _registers.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _refusal(body, RegisterRequest, _bad_webhook) from None
    faults = _bad_webhook({"webhook_url": request.webhook_url})
    if faults:
        raise _invalid(faults)
    return request


def admit_nothing(body: bytes) -> None:
    """The body of a call that takes none: empty, or an object without fields."""
    if body in _NOTHING:
        return
    try:
        _nothing.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _refusal(body, NoFields, lambda _: []) from None


def _contradictions(fields: dict[str, Any], now_ms: int) -> Faults:
    # Faults between fields that are right each for itself. A field that is not in `fields` was
    # refused already.
    faults: Faults = []
    kind = fields.get("order_type")
    if "price" in fields:
        if kind == "limit" and fields["price"] is None:
            faults.append(FieldFault("/price", "a limit order needs a price"))
        elif kind == "market" and fields["price"] is not None:
            faults.append(FieldFault("/price", "a market order has no price"))
    valid_until = fields.get("valid_until")
    if valid_until is not None:
        until_ms = milliseconds(valid_until)
        if until_ms <= now_ms:
            faults.append(FieldFault("/valid_until", "must be in the future"))
        elif until_ms > TIMESTAMP_MS_MAX:
            faults.append(FieldFault("/valid_until", "is later than RFC 3339 can write"))
    return faults


def _bad_webhook(fields: dict[str, Any]) -> Faults:
    url = fields.get("webhook_url")
    if url is None:
        return []
    try:
        parts = urlsplit(url)
        fit = bool(parts.hostname) and parts.port != 0
    except ValueError:
        fit = False
    return [] if fit else [FieldFault("/webhook_url", "must be an http(s) URL with a host")]


class _Doubled(dict[str, Any]):
    # An object of the body that remembers which names came twice.

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice = [] if len(self) == len(pairs) else _repeated([name for name, _ in pairs])


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _refusal(
    body: bytes, kind: type[S], contradictions: Callable[[dict[str, Any]], Faults]
) -> ProblemError:
    try:
        read = json.loads(
            body.decode("utf-8"), object_pairs_hook=_Doubled, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        return ProblemError(400, "malformed_json", "the body is not JSON")
    if not isinstance(read, _Doubled):
        return _invalid([FieldFault("", "must be an object")])
    faults, fields = _each_field(read, kind)
    faults += contradictions(fields)
    if not faults:
        # What only the strict decoder refuses, such as half of a surrogate pair.
        return ProblemError(400, "malformed_json", "the body is not JSON in UTF-8")
    return _invalid(faults)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _each_field(read: _Doubled, kind: type[S]) -> tuple[Faults, dict[str, Any]]:
    # Every fault of a field for itself, and the fields that have none.
    faults = [FieldFault(_pointer(name), "is given twice") for name in read.twice]
    fields: dict[str, Any] = {}
    known = msgspec.structs.fields(kind)
    for field in known:
        if field.name not in read:
            if field.default is NODEFAULT:
                faults.append(FieldFault(_pointer(field.name), "is needed"))
            else:
                fields[field.name] = field.default
            continue
        try:
            fields[field.name] = msgspec.convert(read[field.name], field.type)
        except msgspec.ValidationError as error:
            faults.append(FieldFault(_pointer(field.name), _reason(error, field.type)))
    names = {field.name for field in known}
    faults += [
        FieldFault(_pointer(name), "is not a field of this request")
        for name in read
        if name not in names
    ]
    return faults, fields


def _reason(error: msgspec.ValidationError, kind: Any) -> str:
    if get_origin(kind) is Literal:
        # The error quotes what was given; whatever stands in a wrong place is not told again.
        return f"must be one of {', '.join(get_args(kind))}"
    return str(error).split(" - at ")[0].replace("`", "").replace(r"$(?!\n)", "$")


def _pointer(name: str) -> str:
    # RFC 6901; what UTF-8 cannot write is replaced, for the answer must be writable.
    escaped = name.replace("~", "~0").replace("/", "~1")
    return "/" + escaped.encode("utf-8", "replace").decode()


def _invalid(faults: Faults) -> ProblemError:
    detail = "; ".join(f"{fault.pointer or 'the body'}: {fault.detail}" for fault in faults[:3])
    return ProblemError(422, "invalid", detail, errors=faults)
