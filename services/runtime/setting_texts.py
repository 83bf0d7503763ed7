"""Texts of errors in settings: values that a setting accepts, and names that resemble a wrong one.

Pure.
"""

import difflib
from collections.abc import Iterable

from msgspec import Struct, inspect


def accepted_values(settings: type[Struct], field: str) -> str:
    """The values of a field in words, such as `a whole number from 0 to 65535`."""
    (kind,) = (each.type for each in _fields(settings) if each.name == field)
    return _in_words(kind)


def _fields(settings: type[Struct]) -> tuple[inspect.Field, ...]:
    kind = inspect.type_info(settings)
    if not isinstance(kind, inspect.StructType):
        raise TypeError(f"{settings} is not a struct")
    return kind.fields


def _in_words(kind: inspect.Type) -> str:
    match kind:
        case inspect.UnionType(types):
            (given,) = (each for each in types if not isinstance(each, inspect.NoneType))
            words = _in_words(given)
        case inspect.LiteralType(values):
            words = " or ".join(map(str, values))
        case inspect.BoolType():
            words = "true or false"
        case inspect.IntType(ge=least, le=most):
            words = f"a whole number from {least} to {most}"
        case inspect.Metadata(extra_json_schema={"description": str(description)}):
            words = description
        case inspect.StrType(min_length=least, max_length=int(most)):
            words = f"a text of {least or 0} to {most} characters"
        case inspect.StrType(max_length=None, pattern=None) | inspect.CustomType():
            words = "a text"
        case _:
            raise TypeError(f"no words for the values of {kind}")
    return words


def with_similar(name: str, known: Iterable[str], prefix: str) -> str:
    """The name, followed by the known one that resembles it most, if any does."""
    # Without the prefix: it would make all names similar.
    rests = [each.removeprefix(prefix) for each in known]
    found = difflib.get_close_matches(name.removeprefix(prefix), rests, n=1, cutoff=0.7)
    return f"{name} (did you mean {prefix}{found[0]}?)" if found else name
