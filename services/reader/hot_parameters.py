"""Parameters of the reader's hot calls: pages, symbols and counts. Pure."""

import msgspec

from schemas.rest import FieldFault
from schemas.units import NewSymbol
from services.api.app import Parameter, Request
from services.api.decoding import invalid_fields
from services.api.query import NOT_A_SYMBOL, count_fault, count_parameter, read_count

# Items of a list in one answer: some milliseconds of work, so that requests between see no delay.
PAGE_DEFAULT = 100
PAGE_MAX = 500


def page_parameters(
    default: int, description: str, cursor_schema: dict[str, str]
) -> tuple[Parameter, Parameter]:
    """The parameters of a call that answers in pages, for the document."""
    return (
        count_parameter("limit", default, PAGE_MAX, description),
        Parameter("cursor", "query", cursor_schema, "`next_cursor` of the previous answer"),
    )


def page_of(request: Request, cursor_kind: object, default: int) -> tuple[int, str | None]:
    """The limit and the cursor of a call that answers in pages."""
    faults = []
    text = request.query.get("limit")
    limit = default if text is None else read_count(text, PAGE_MAX)
    if limit is None:
        faults.append(FieldFault("/limit", count_fault(PAGE_MAX)))
    cursor = request.query.get("cursor")
    if cursor is not None and not is_text_of(cursor_kind, cursor):
        faults.append(FieldFault("/cursor", "must be the next_cursor of an answer"))
    if limit is None or faults:
        raise invalid_fields(faults)
    return limit, cursor


def is_text_of(kind: object, text: str) -> bool:
    """True if the text has this type of `schemas`."""
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


def symbol_and_count(request: Request, name: str, default: int, most: int) -> tuple[str, int]:
    """The symbol and the count of a market data call; all faults are reported at once."""
    faults = []
    symbol = request.parameters["symbol"]
    if not is_text_of(NewSymbol, symbol):
        faults.append(FieldFault("/symbol", NOT_A_SYMBOL))
    text = request.query.get(name)
    count = default if text is None else read_count(text, most)
    if count is None:
        faults.append(FieldFault(f"/{name}", count_fault(most)))
    if count is None or faults:
        raise invalid_fields(faults)
    return symbol, count
