"""Query parameters that are whole numbers: reading, validation and documentation. Pure."""

from typing import Any

from pydantic_core import core_schema

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


class Count:
    """Annotation of a FastAPI parameter: a whole number from 1 to `most`, read as above."""

    def __init__(self, most: int) -> None:
        self._most = most

    def _read(self, text: str) -> int:
        count = read_count(text, self._most)
        if count is None:
            raise ValueError(f"a whole number from 1 to {self._most}")
        return count

    def __get_pydantic_core_schema__(self, _: Any, __: Any) -> core_schema.CoreSchema:
        """Validate the text."""
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, _: Any, __: Any) -> dict[str, Any]:
        """Document the bounds."""
        return {"type": "integer", "minimum": 1, "maximum": self._most}
