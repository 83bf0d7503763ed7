"""Checks of the texts in commands against their patterns in `units`.

A matcher decodes every command of a replay, and msgspec's own check of a pattern takes longer than
all other decoding. Here the bytes of a text are compared first, which suffices for nearly every
command; the patterns decide on the rest. Pure.
"""

import re
from functools import lru_cache
from typing import Final

from schemas.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
    SetPhase,
)
from schemas.units import (
    CLIENT_ORDER_ID_PATTERN,
    PRINTABLE_PATTERN,
    REQUEST_PATTERN,
    SYMBOL_PATTERN,
    UUID_PATTERN,
)

_UUID_SHAPE: Final = b"00000000-0000-0000-0000-000000000000"
_HEX_DIGITS_AS_0: Final = bytes.maketrans(b"123456789abcdef", b"000000000000000")
# The same few thousand brokers and symbols occur in millions of commands.
_REMEMBERED_MAX: Final = 8_192
_SYMBOL_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
_SYMBOL_LENGTH_MAX: Final = 10
_CLIENT_ORDER_ID_BYTES: Final = _SYMBOL_BYTES + b"abcdefghijklmnopqrstuvwxyz:"
_CLIENT_ORDER_ID_LENGTH_MAX: Final = 64
# Tables that translate allowed bytes to digits, and all others to something else.
_IN_SYMBOL: Final = bytes(48 if byte in _SYMBOL_BYTES else 33 for byte in range(256))
_IN_CLIENT_ORDER_ID: Final = bytes(
    48 if byte in _CLIENT_ORDER_ID_BYTES else 33 for byte in range(256)
)
_PATTERNS: Final = {
    "order_id": re.compile(UUID_PATTERN),
    "broker_id": re.compile(UUID_PATTERN),
    "document_number": re.compile(PRINTABLE_PATTERN),
    "symbol": re.compile(SYMBOL_PATTERN),
    "request": re.compile(REQUEST_PATTERN),
    "client_order_id": re.compile(CLIENT_ORDER_ID_PATTERN),
}


def invalid_text(command: Command) -> str | None:
    """Name of the first text field that does not match its pattern; None if all match."""
    if _surely_valid(command):
        return None
    for field, pattern in _PATTERNS.items():
        text = getattr(command, field, None)
        if text is not None and not pattern.search(text):
            return field
    return None


@lru_cache(_REMEMBERED_MAX)
def _is_broker_id(text: str) -> bool:
    return text.encode().translate(_HEX_DIGITS_AS_0) == _UUID_SHAPE


@lru_cache(_REMEMBERED_MAX)
def _is_symbol(text: str) -> bool:
    return len(text) <= _SYMBOL_LENGTH_MAX and text.encode().translate(_IN_SYMBOL).isdigit()


def _surely_valid(command: Command) -> bool:
    if type(command) is PlaceOrder or type(command) is EnterOrder:
        own_id = command.client_order_id
        return (
            command.order_id.encode().translate(_HEX_DIGITS_AS_0) == _UUID_SHAPE
            and _is_broker_id(command.broker_id)
            and command.document_number.isprintable()
            and _is_symbol(command.symbol)
            and (
                own_id is None
                or (
                    own_id.encode().translate(_IN_CLIENT_ORDER_ID).isdigit()
                    and len(own_id) <= _CLIENT_ORDER_ID_LENGTH_MAX
                )
            )
        )
    if type(command) is CancelOrder:
        return command.order_id.encode().translate(
            _HEX_DIGITS_AS_0
        ) == _UUID_SHAPE and _is_broker_id(command.broker_id)
    # The others are rarer; those without a text match all patterns.
    return not isinstance(command, AmendOrder | CancelAll | SetInstrument | SetPhase)
