"""Checks of amended orders. Pure, and independent of the engine."""

from schemas.commands import AmendOrder
from schemas.executions import OrderAccepted, OrderAmended, OrderEntered


def remaining_before(event: OrderAmended) -> int:
    """The remaining quantity after the amendment, before its fills."""
    return event.remaining_quantity + sum(fill.quantity for fill in event.fills)


def broken_amendment(
    order: OrderAccepted, left_before: tuple[int, int], event: OrderAmended, *, is_due: bool
) -> str | None:
    """The rule that an amendment breaks; None if it breaks none.

    `order` has the values before the amendment. `left_before`: the remaining quantity before it,
    and the part that the book showed. `is_due`: the order has expired by the time of the event.
    """
    remaining, shown = left_before
    if (event.symbol, event.side) != (order.symbol, order.side):
        return f"it became an order for {event.symbol}, {event.side}"
    left = remaining_before(event)
    is_closed = event.closed_reason is not None and not event.fills
    waits = event.stop_price is not None
    same = event.price == order.price and (not waits or event.stop_price == _stop_price(order))
    keeps = same and left <= remaining and not is_closed
    if event.kept_priority != keeps:
        return (
            f"{remaining} at {order.price} became {left} at {event.price}: "
            f"kept its place {event.kept_priority}, expected {keeps}"
        )
    # A stop order that waits is in no level.
    is_changed = not waits and (not keeps or left < shown)
    if event.former_price != (order.price if is_changed else None):
        return f"its former price is {event.former_price}, expected {order.price}"
    if is_due != (event.closed_reason == "expired"):
        return f"it became {event.closed_reason or 'open'}, valid until {event.valid_until}"
    return None


def answers_amendment(
    command: AmendOrder, event: OrderAmended, order: OrderAccepted, remaining: int
) -> bool:
    """True if the event has the values of the command. `order` has the former ones."""
    filled = order.quantity - remaining
    if command.quantity is not None and command.quantity <= filled:
        # Nothing is left to fill, or the order was due already.
        return event.closed_reason in ("cancelled", "expired") and not event.fills
    if event.closed_reason == "expired" and event.valid_until == order.valid_until:
        return True
    post_only = isinstance(order, OrderEntered) and order.post_only
    display = order.display_quantity if isinstance(order, OrderEntered) else None
    if display is not None and command.display_quantity is not None:
        display = command.display_quantity
    stop_price = command.stop_price or _stop_price(order)
    return (
        event.display_quantity == display
        and event.stop_price in (None, stop_price)
        and event.price == (command.price or order.price)
        and event.valid_until == (command.valid_until or order.valid_until)
        and event.quantity in ((command.quantity,) if command.quantity else (None, order.quantity))
        and command.post_only == post_only
        and not (post_only and event.fills)
    )


def _stop_price(order: OrderAccepted) -> int | None:
    return order.stop_price if isinstance(order, OrderEntered) else None
