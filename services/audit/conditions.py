"""Checks that an order kept to its conditions. Pure, and independent of the engine."""

from schemas.commands import PlaceOrder
from schemas.executions import OrderAccepted, OrderAmended, OrderEntered
from schemas.outcome_steps import Taking


def needed(event: OrderAccepted) -> int:
    """The quantity that had to trade at once; 0 without such a condition."""
    if not isinstance(event, OrderEntered):
        return 0
    if event.time_in_force == "fok":
        return event.quantity
    return event.minimum_quantity or 0


def is_day(event: OrderAccepted) -> bool:
    """True if the close of its symbol ends the order."""
    return isinstance(event, OrderEntered) and event.time_in_force == "day"


def never_rests(event: OrderAccepted) -> bool:
    """True if no part of the order may be in a book."""
    in_force = event.time_in_force if isinstance(event, OrderEntered) else None
    return event.order_type == "market" or in_force in ("ioc", "fok")


def may_not_rest(event: Taking) -> bool:
    """True if the remaining quantity of an order must not rest in a book."""
    return event.price is None or (isinstance(event, OrderAccepted) and never_rests(event))


def crosses(order: PlaceOrder | Taking, price: int) -> bool:
    """True if an order's limit allows this price of the opposite side."""
    if order.price is None:
        return True
    return order.price >= price if order.side == "bid" else order.price <= price


def is_killed(event: OrderAccepted) -> bool:
    """True if the order was closed because too little of it would have traded."""
    return bool(needed(event)) and not event.fills and event.closed_reason == "no_liquidity"


def broken_condition(event: OrderEntered, at_once: int) -> str | None:
    """The condition that the outcome breaks; None if it breaks none.

    `at_once`: the quantity that the book had for the order before its command, at most the needed
    one.
    """
    filled = sum(fill.quantity for fill in event.fills)
    if event.post_only and event.fills:
        return "it is post-only and took"
    if event.closed_reason is None and never_rests(event) and event.stop_price is None:
        return "it rests"
    if is_killed(event) and at_once >= needed(event):
        return f"it was closed, although {at_once} would have traded"
    if filled < needed(event) and (event.fills or event.closed_reason is None):
        return f"{filled} traded, {needed(event)} were needed"
    return None


def displayed_by(event: OrderAccepted | OrderAmended) -> int | None:
    """The part of an iceberg order that the book shows after the event."""
    return event.displayed_quantity if isinstance(event, OrderEntered | OrderAmended) else None
