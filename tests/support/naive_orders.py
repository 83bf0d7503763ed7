"""Orders of the naive model, and their events. Pure."""

from msgspec import Struct, structs

from schemas.commands import AmendOrder, EnterOrder, PlaceOrder
from schemas.executions import (
    CommandRefused,
    Fill,
    OrderAccepted,
    OrderAmended,
    OrderEntered,
    Prevented,
    RefusalCode,
)
from schemas.units import ClosedReason, SelfTradePrevention

CONDITIONS = (
    "time_in_force",
    "post_only",
    "minimum_quantity",
    "stop_price",
    "display_quantity",
    "self_trade_prevention",
)


class Resting(Struct):
    """An open order: its command, the command's offset, and the remaining quantity.

    `shown`: the part of `remaining` that the book shows. `place`: a number of its place in the
    queue, higher for those behind. `amended`: the quantity that an amendment set.
    """

    order: PlaceOrder
    offset: int
    remaining: int
    shown: int
    place: int
    amended: int | None = None
    # None: it came to rest before its symbol had an instrument.
    document: str | None = None


class Took(Struct):
    """The trades of an order that took, and own orders that it came to."""

    fills: list[Fill] = []
    prevented: list[Prevented] = []


def display_of(order: PlaceOrder) -> int | None:
    """The size of an order's slices; 0: it shows all again; None: it always did."""
    return order.display_quantity if isinstance(order, EnterOrder) else None


def slice_of(order: PlaceOrder, left: int) -> int:
    """The part that the book shows next of an order with so much left."""
    return min(display_of(order) or left, left)


class Remembered(Struct, frozen=True):
    """An accepted order with a client order id, the time of acceptance, and its block of ids."""

    order: PlaceOrder
    time: int
    block: int


def take(maker: Resting, quantity: int, next_place: int) -> int | None:
    """Fill an order; the quantity that it then shows if it is an iceberg order that stays open."""
    maker.remaining -= quantity
    maker.shown -= quantity
    if maker.shown == 0 and maker.remaining > 0:
        maker.shown, maker.place = slice_of(maker.order, maker.remaining), next_place
    return maker.shown if display_of(maker.order) is not None and maker.remaining else None


def amended(resting: Resting, command: AmendOrder) -> Resting:
    """The order with the values of the command; it is not changed itself."""
    order, remaining, amended = resting.order, resting.remaining, resting.amended
    if command.quantity is not None:
        former = command.of_quantity if amended is None else amended
        amended = command.quantity
        remaining = min(remaining + amended - (former or 0), amended)
    price, until = command.price or order.price, command.valid_until
    until = order.valid_until if until is None else until
    order = structs.replace(order, price=price, valid_until=until)
    if command.display_quantity is not None and display_of(order) is not None:
        order = structs.replace(order, display_quantity=command.display_quantity)
    hidden = resting.remaining - resting.shown
    cut = resting.remaining - remaining
    shown = resting.shown - max(0, cut - hidden)
    return structs.replace(resting, order=order, remaining=remaining, shown=shown, amended=amended)


def order_amended(command: AmendOrder, after: Resting, former_price: int | None) -> OrderAmended:
    """The event of an amendment; the caller adds what else happened."""
    order = after.order
    return OrderAmended(
        order_id=order.order_id,
        broker_id=order.broker_id,
        request=command.request,
        symbol=order.symbol,
        side=order.side,
        price=order.price or 0,
        remaining_quantity=after.remaining,
        book_sequence=0,
        quantity=after.amended,
        valid_until=None if is_day(order) else order.valid_until,
        former_price=former_price,
        display_quantity=display_of(order),
        displayed_quantity=None if display_of(order) is None else after.shown,
    )


def refused_amendment(command: AmendOrder, code: RefusalCode) -> CommandRefused:
    """The refusal of an amendment."""
    return CommandRefused(code, command.order_id, command.broker_id, request=command.request)


def accepted(
    order: PlaceOrder, remaining: int, reason: ClosedReason | None, took: Took | None = None
) -> OrderAccepted:
    """The event of an order that was accepted."""
    kind, conditions = OrderAccepted, {}
    took = took or Took()
    if isinstance(order, EnterOrder):
        kind = OrderEntered
        conditions = {name: getattr(order, name) for name in CONDITIONS}
        conditions["prevented"] = tuple(took.prevented)
        if reason is None and order.display_quantity is not None:
            conditions["displayed_quantity"] = slice_of(order, remaining)
    return kind(
        order_id=order.order_id,
        broker_id=order.broker_id,
        document_number=order.document_number,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        remaining_quantity=remaining,
        book_sequence=0,
        price=order.price,
        valid_until=order.valid_until,
        client_order_id=order.client_order_id,
        closed_reason=reason,
        fills=tuple(took.fills),
        **conditions,
    )


def never_rests(order: PlaceOrder) -> bool:
    """True if no part of the order may wait in the book."""
    in_force = order.time_in_force if isinstance(order, EnterOrder) else None
    return order.order_type == "market" or in_force in {"ioc", "fok"}


def is_day(order: PlaceOrder) -> bool:
    """True if the close of its symbol ends the order."""
    return isinstance(order, EnterOrder) and order.time_in_force == "day"


def is_stop(order: PlaceOrder) -> bool:
    """True if the order waits for its stop price when it arrives."""
    return isinstance(order, EnterOrder) and order.stop_price is not None


def mode_of(order: PlaceOrder) -> SelfTradePrevention | None:
    """The self-trade prevention of the order."""
    return order.self_trade_prevention if isinstance(order, EnterOrder) else None


def needed(order: PlaceOrder) -> int:
    """The quantity that must trade at once."""
    if not isinstance(order, EnterOrder):
        return 0
    return order.quantity if order.time_in_force == "fok" else order.minimum_quantity or 0


def client_key(order: PlaceOrder) -> tuple[str, str, str | None]:
    """The scope in which a client order id is unique, and the id."""
    return order.broker_id, order.symbol, order.client_order_id


def content(order: PlaceOrder) -> tuple[object, ...]:
    """The fields that a retry must repeat."""
    conditions = [getattr(order, name, "plain") for name in CONDITIONS]
    return (
        *conditions,
        order.side,
        order.order_type,
        order.price,
        order.quantity,
        order.valid_until,
        order.document_number,
    )
