"""Rules of which conditions of an order go together, for requests and for records of the command
log alike. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.commands import AmendOrder, EnterOrder
from schemas.units import OrderKind, OrderType, Side, TimeInForce

# A slice of an iceberg order is at least one in so many of its shares: each is a trade of its own.
SLICES_MAX = 100
# The default of each order type. A market order never rests.
DEFAULT_TIME_IN_FORCE: dict[OrderType, TimeInForce] = {"limit": "gtc", "market": "ioc"}


def default_time_in_force(order_type: OrderType, stop_price: int | None) -> TimeInForce:
    """The time in force of an order that names none. Every stop waits."""
    return "gtc" if stop_price is not None else DEFAULT_TIME_IN_FORCE[order_type]


def order_type_of(kind: OrderKind) -> OrderType:
    """The order type in the log of one that a broker names."""
    return "limit" if kind in ("limit", "stop_limit") else "market"


def kind_of(order_type: OrderType, stop_price: int | None) -> OrderKind:
    """The order type as brokers name it."""
    if stop_price is None:
        return order_type
    return "stop" if order_type == "market" else "stop_limit"


def needs_instrument(order: EnterOrder) -> bool:
    """True if only a symbol with an instrument takes the order."""
    is_stop, is_day = order.stop_price is not None, order.time_in_force == "day"
    return is_stop or is_day or order.self_trade_prevention is not None


def condition_faults(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields of an order that contradict others, each with the reason.

    `fields` are those of `EnterOrder`, each valid by itself. One that is absent contradicts
    nothing; `time_in_force` None is the default of the order type.
    """
    if fields.get("stop_price") is not None:
        yield from _stop_contradictions(fields)
        return
    is_market = fields.get("order_type") == "market"
    in_force = fields.get("time_in_force")
    if is_market and in_force in ("gtc", "day"):
        yield "time_in_force", "a market order never rests: ioc or fok"
    yield from _end_contradictions(fields, in_force)
    if fields.get("post_only"):
        if is_market:
            yield "post_only", "a market order never rests"
        elif in_force in ("ioc", "fok"):
            yield "post_only", f"an order with time_in_force {in_force} never rests"
    yield from _minimum_contradictions(fields, in_force)
    yield from _display_contradictions(fields, in_force)


def _end_contradictions(
    fields: Mapping[str, Any], in_force: TimeInForce | None
) -> Iterator[tuple[str, str]]:
    if fields.get("valid_until") is None:
        return
    if in_force in ("ioc", "fok"):
        yield "valid_until", f"an order with time_in_force {in_force} never rests"
    elif in_force == "day":
        yield "valid_until", "an order with time_in_force day ends when its symbol is closed"


def amendment_fault(command: AmendOrder) -> str | None:
    """The fault of an amendment whose values are each valid; None: it has none."""
    if (command.quantity is None) != (command.of_quantity is None):
        return "quantity and of_quantity go together"
    changes = (command.quantity, command.price, command.valid_until, command.stop_price)
    if (*changes, command.display_quantity) == (None,) * 5:
        return "it changes nothing"
    if command.quantity is None or not command.display_quantity:
        return None
    return display_fault(command.display_quantity, command.quantity)


def display_fault(display: int, quantity: int) -> str | None:
    """The fault of a display quantity for an order of this quantity; None: it has none."""
    if display > quantity:
        return "is more than the quantity"
    if display * SLICES_MAX < quantity:
        return f"is less than one share in {SLICES_MAX} of the quantity"
    return None


def _minimum_contradictions(
    fields: Mapping[str, Any], in_force: TimeInForce | None
) -> Iterator[tuple[str, str]]:
    minimum = fields.get("minimum_quantity")
    if minimum is None:
        return
    if in_force == "fok":
        yield "minimum_quantity", "an order with time_in_force fok trades all of its quantity"
    if fields.get("post_only"):
        yield "minimum_quantity", "a post_only order never trades at once"
    quantity = fields.get("quantity")
    if quantity is not None and minimum > quantity:
        yield "minimum_quantity", "is more than the quantity"


def _display_contradictions(
    fields: Mapping[str, Any], in_force: TimeInForce | None
) -> Iterator[tuple[str, str]]:
    display, quantity = fields.get("display_quantity"), fields.get("quantity")
    if display is None:
        return
    if fields.get("order_type") == "market":
        yield "display_quantity", "a market order never rests"
    elif in_force in ("ioc", "fok"):
        yield "display_quantity", f"an order with time_in_force {in_force} never rests"
    if fields.get("minimum_quantity") is not None:
        yield "minimum_quantity", "does not go with a display_quantity"
    fault = None if quantity is None else display_fault(display, quantity)
    if fault is not None:
        yield "display_quantity", fault


def _stop_contradictions(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if fields.get("time_in_force") in ("ioc", "fok"):
        yield "time_in_force", "a stop order waits: gtc or day"
    yield from _end_contradictions(fields, fields.get("time_in_force"))
    if fields.get("post_only"):
        yield "post_only", "a stop order takes when it is elected"
    if fields.get("minimum_quantity") is not None:
        yield "minimum_quantity", "a stop order never trades when it arrives"
    if fields.get("display_quantity") is not None:
        yield "display_quantity", "a stop order shows all that is left when it is elected"
    side, price = fields.get("side"), fields.get("price")
    fault = None if side is None else stop_price_fault(side, price, fields["stop_price"])
    if fault is not None:
        yield "stop_price", fault


def stop_price_fault(side: Side, price: int | None, stop_price: int) -> str | None:
    """The fault of a stop price beside a limit; None: it has none."""
    if price is None or (price >= stop_price if side == "bid" else price <= stop_price):
        return None
    return f"is {'above the price of a bid' if side == 'bid' else 'below the price of an ask'}"
