"""Decisions about one incoming order: does it trade, why is it closed, is it a retry. Pure."""

from schemas.commands import PlaceOrder
from schemas.executions import CommandRefused, OrderRepeated
from schemas.snapshots import ClientIdRow
from schemas.units import ClosedReason
from services.matcher.book import PriceLevel
from services.matcher.window import content_of


def crosses(command: PlaceOrder, price: int) -> bool:
    """True if the order would trade at this price of the opposite side."""
    limit = command.price
    if limit is None:
        return True
    return limit >= price if command.side == "bid" else limit <= price


def closed_reason(
    command: PlaceOrder, remaining: int, best: PriceLevel | None
) -> ClosedReason | None:
    """Why the order closes after matching; None if it rests. `best`: the opposite level now."""
    if remaining == 0:
        return "filled"
    # Still crossing: the order reached `fills_max`, and its rest is cancelled.
    if best is not None and crosses(command, best.price):
        return "cancelled"
    return "no_liquidity" if command.order_type == "market" else None


def used_before(command: PlaceOrder, known: ClientIdRow) -> OrderRepeated | CommandRefused:
    """The event of an order whose client order id is known: a retry, or another order."""
    original, content = known.order.split(" ", 1)
    if content == content_of(command):
        return OrderRepeated(command.order_id, command.broker_id, original)
    return CommandRefused("client_order_id_reused", command.order_id, command.broker_id, original)
