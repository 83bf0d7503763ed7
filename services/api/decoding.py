"""The problem for a refused JSON body, with every fault at once. Pure."""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct

from schemas.rest import FieldFault
from services.api.messages import ProblemError

Faults = list[FieldFault]
# RecursionError: nesting deeper than the decoder's stack.
DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# Names of an object's fields; those of all our requests are letters and underscores.
_NAMES = re.compile(rb'"(\w+)"\s*:')


class JsonObject(dict[str, Any]):
    """A JSON object; `twice` has the names that occur more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice = [] if len(self) == len(pairs) else _repeated([name for name, _ in pairs])


def _repeated(names: list[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def require_single_names(body: bytes) -> None:
    """Raises ProblemError (422) where a JSON object, which its strict decoder accepted, names a
    field twice: the decoder takes the last value, another reader the first.

    Of every order, so a pattern looks first. It is exact without escapes: a quote inside of a text
    would need one, and so would a name in another spelling.
    """
    if has_single_names(body):
        return
    read = json.loads(body, object_pairs_hook=JsonObject)
    if read.twice:
        raise invalid_fields(_doubled_faults(read, ""))


def has_single_names(body: bytes) -> bool:
    """True if no name occurs twice, in any object; False if one may."""
    if b"\\" in body:
        return False
    names = _NAMES.findall(body)
    return len(names) == len(set(names))


def _doubled_faults(read: JsonObject, parent: str) -> Faults:
    return [FieldFault(parent + pointer(name), "is given twice") for name in read.twice]


def body_problem(
    body: bytes,
    kind: type[Struct],
    contradictions: Callable[[dict[str, Any]], Faults] = lambda _: [],
) -> ProblemError:
    """The problem of a body that the strict decoder of `kind` refused: every fault at once.

    `contradictions` returns the faults between the valid fields, which it receives by name.
    """
    try:
        read = read_json(body)
    except ProblemError as problem:
        return problem
    faults, fields = object_faults(read, kind)
    faults += contradictions(fields)
    return invalid_fields(faults) if faults else not_utf8()


def read_json(body: bytes) -> Any:
    """Any JSON value, its objects as JsonObject. Raises ProblemError malformed_json."""
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=JsonObject, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise ProblemError("malformed_json", "the body is not JSON") from None


def not_utf8() -> ProblemError:
    """The problem of a body that only the strict decoder refuses, such as half a surrogate pair."""
    return ProblemError("malformed_json", "the body is not JSON in UTF-8")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def object_faults(read: Any, kind: type[Struct], parent: str = "") -> tuple[Faults, dict[str, Any]]:
    """The faults of a value's single fields, and the fields that have none.

    `parent`: pointer of the value in the body.
    """
    if not isinstance(read, JsonObject):
        return [FieldFault(parent, "must be an object")], {}
    faults = _doubled_faults(read, parent)
    fields: dict[str, Any] = {}
    known = msgspec.structs.fields(kind)
    for field in known:
        if field.name not in read:
            if field.default is NODEFAULT:
                faults.append(FieldFault(parent + pointer(field.name), "is needed"))
            else:
                fields[field.name] = field.default
            continue
        try:
            fields[field.name] = msgspec.convert(read[field.name], field.type)
        except msgspec.ValidationError as error:
            faults.append(FieldFault(parent + pointer(field.name), _reason(error, field.type)))
    names = {field.name for field in known}
    faults += [
        FieldFault(parent + pointer(name), "is not a field of this request")
        for name in read
        if name not in names
    ]
    return faults, fields


def _reason(error: msgspec.ValidationError, kind: Any) -> str:
    choices = next((one for one in (kind, *get_args(kind)) if get_origin(one) is Literal), None)
    if choices is not None:
        # The error quotes the input; a value in the wrong field must not be repeated.
        return f"must be one of {', '.join(get_args(choices))}"
    return str(error).split(" - at ")[0].replace("`", "").replace(r"$(?!\n)", "$")


def pointer(name: str) -> str:
    """The name as one token of a JSON pointer (RFC 6901).

    Lone surrogates are replaced: UTF-8 cannot encode them, and the answer is UTF-8.
    """
    escaped = name.replace("~", "~0").replace("/", "~1")
    return "/" + escaped.encode("utf-8", "replace").decode()


def invalid_fields(faults: Faults) -> ProblemError:
    """422 with these faults; the detail names the first three."""
    detail = "; ".join(f"{fault.pointer or 'the body'}: {fault.detail}" for fault in faults[:3])
    return ProblemError("invalid", detail, errors=faults)
