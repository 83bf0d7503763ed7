"""Query and path parameters: reading, validation and documentation. Pure."""

from collections.abc import Collection
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from fastapi import Path
from pydantic_core import core_schema

from schemas.rest import FieldFault, Instant
from schemas.units import NewSymbol, milliseconds
from services.api.decoding import invalid_fields
from services.api.messages import Parameter


def count_parameter(name: str, default: int, most: int, description: str) -> Parameter:
    """For the document of a hot call: from 1 to `most`."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Parameter(name, "query", schema, description)


def read_count(text: str, most: int) -> int | None:
    """The number; None unless the text is one from 1 to `most`."""
    # int() of a long text is slow, and isdecimal() alone accepts the digits of other alphabets.
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most))):
        return None
    count = int(text)
    return count if 1 <= count <= most else None


def count_fault(most: int) -> str:
    """The fault of a text that `read_count` refuses."""
    return f"must be a whole number from 1 to {most}"


class Count:
    """Annotation of a FastAPI parameter: a whole number from 1 to `most`, read as above."""

    def __init__(self, most: int) -> None:
        self._most = most

    def _read(self, text: str) -> int:
        count = read_count(text, self._most)
        if count is None:
            raise ValueError(count_fault(self._most))
        return count

    def __get_pydantic_core_schema__(self, _: Any, __: Any) -> core_schema.CoreSchema:
        """Validate the text."""
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, _: Any, __: Any) -> dict[str, Any]:
        """Document the bounds."""
        return {"type": "integer", "minimum": 1, "maximum": self._most}


class Text:
    """Annotation of a FastAPI parameter: text of `kind`, a type of `schemas`; `detail` is the fault
    of any other."""

    def __init__(self, kind: Any, detail: str) -> None:
        self._kind = kind
        self._detail = detail

    def _read(self, text: str) -> str:
        try:
            return str(msgspec.convert(text, self._kind))
        except msgspec.ValidationError:
            raise ValueError(self._detail) from None

    def __get_pydantic_core_schema__(self, _: Any, __: Any) -> core_schema.CoreSchema:
        """Validate the text."""
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, _: Any, __: Any) -> dict[str, Any]:
        """Document the pattern."""
        schema = msgspec.json.schema(self._kind)
        return {"type": "string", "pattern": schema["pattern"].removesuffix(r"(?!\n)")}


class Moment:
    """Annotation of a FastAPI parameter: an instant of RFC 3339, read as milliseconds."""

    def _read(self, text: str) -> int:
        try:
            return milliseconds(msgspec.convert(text, Instant))
        except msgspec.ValidationError:
            raise ValueError(
                "must be an instant of RFC 3339, such as 2026-11-23T13:00:00Z"
            ) from None

    def __get_pydantic_core_schema__(self, _: Any, __: Any) -> core_schema.CoreSchema:
        """Validate the text."""
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, _: Any, __: Any) -> dict[str, Any]:
        """Document the format."""
        return {"type": "string", "format": "date-time"}


def require_known_query(query_string: bytes, known: Collection[str]) -> None:
    """Raises ProblemError (422) for a parameter that is not `known`, or is given twice."""
    names = [name for name, _ in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)]
    faults = [
        FieldFault(f"/{name}", "is given twice" if name in known else "is not a parameter here")
        for name in dict.fromkeys(names)
        if name not in known or names.count(name) > 1
    ]
    if faults:
        raise invalid_fields(faults)


NOT_A_SYMBOL = "must be 1 to 10 of A-Z, 0-9, dot, underscore and hyphen, but not . or .."
TICKER = Text(NewSymbol, NOT_A_SYMBOL)
SymbolInPath = Annotated[str, TICKER, Path()]
