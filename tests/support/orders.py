"""Builders of commands with a default for every field that does not matter to a test."""

from typing import Final

from msgspec import structs

from schemas import ids
from schemas.commands import CancelOrder, PlaceOrder

SYMBOL: Final = "PETR4"
BROKER: Final = "0199aaaa-0000-7000-8000-00000000000a"
OTHER_BROKER: Final = "0199aaaa-0000-7000-8000-00000000000b"
START_MS: Final = 1_700_000_000_000

_LIMIT: Final = PlaceOrder(
    order_id=ids.order_id(START_MS, 0, 1),
    broker_id=BROKER,
    document_number="12345678909",
    symbol=SYMBOL,
    side="bid",
    order_type="limit",
    quantity=100,
    price=1_000,
)


def order_id(number: int, partition: int = 0) -> str:
    """Id of the test's nth order."""
    return ids.order_id(START_MS, partition, number)


def broker_id(number: int) -> str:
    """Id of the test's nth broker."""
    return f"0199aaaa-0000-7000-8000-{number:012x}"


def limit(number: int = 1, **changes: object) -> PlaceOrder:
    """A bid of 100 at 1,000 cents that never expires, with `changes`."""
    return structs.replace(_LIMIT, order_id=order_id(number), **changes)


def market(number: int = 1, **changes: object) -> PlaceOrder:
    """A market bid of 100, with `changes`."""
    return limit(number, order_type="market", price=None, **changes)


def cancel(number: int = 1, broker: str = BROKER) -> CancelOrder:
    """Cancel of the test's nth order."""
    return CancelOrder(order_id=order_id(number), broker_id=broker)
