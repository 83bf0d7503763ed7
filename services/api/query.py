"""Query parameters that are whole numbers: how they are read, and how they are documented. Pure."""

from services.api.messages import Parameter


def count_parameter(name: str, default: int, most: int, description: str) -> Parameter:
    """For the document: from 1 to `most`."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Parameter(name, "query", schema, description)


def read_count(text: str, most: int) -> int | None:
    """The number; None unless the text is one from 1 to `most`."""
    # Longer texts would cost int() more than they are worth; isdecimal alone lets other
    # alphabets' digits through.
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most))):
        return None
    count = int(text)
    return count if 1 <= count <= most else None
