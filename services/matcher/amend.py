"""Decisions about an amendment of an open order: its values afterwards, and whether it keeps its
place in the book. Pure."""

from msgspec import Struct, structs

from schemas.commands import AmendOrder, EnterOrder
from schemas.conditions import stop_price_fault
from schemas.executions import CommandRefused, OrderAmended, RefusalCode
from schemas.units import ClosedReason
from services.matcher.book import IcebergOrder, Order
from services.matcher.stops import StopOrder


class Amendment(Struct, frozen=True, gc=False):
    """An order's values after its amendment. `quantity` None: never amended.

    `remaining` includes the hidden quantity. Only iceberg orders have `display`, and, once they
    rest, `displayed`, their visible quantity. `closed_reason`: the amendment closes the order,
    which then trades nothing.
    """

    price: int
    quantity: int | None
    remaining: int
    valid_until: int | None
    display: int | None
    keeps_priority: bool = False
    closed_reason: ClosedReason | None = None
    displayed: int | None = None


def amendment_of(
    order: Order, command: AmendOrder, amended_quantity: int | None, clock: int
) -> Amendment:
    """The values after the command; `amended_quantity`: the one that an earlier amendment set."""
    display = order.display if isinstance(order, IcebergOrder) else None
    before = Amendment(order.price, amended_quantity, order.unfilled, order.valid_until, display)
    if before.valid_until is not None and before.valid_until <= clock:
        # Left over from a backlog of expiries: no amendment can extend it.
        return structs.replace(before, closed_reason="expired")
    price = order.price if command.price is None else command.price
    quantity, remaining = amended_quantity, order.unfilled
    if command.quantity is not None:
        former = command.of_quantity if amended_quantity is None else amended_quantity
        quantity = command.quantity
        # Never more than the quantity, whatever a foreign writer gives as the former one.
        remaining = min(remaining + quantity - (former or 0), quantity)
        if remaining <= 0:
            return structs.replace(before, closed_reason="cancelled")
    until = order.valid_until if command.valid_until is None else command.valid_until
    if display is not None and command.display_quantity is not None:
        display = command.display_quantity
    if until is not None and until <= clock:
        return Amendment(price, quantity, remaining, until, display, closed_reason="expired")
    keeps = price == order.price and remaining <= order.unfilled
    return Amendment(price, quantity, remaining, until, display, keeps)


def is_amendable(order: Order, command: AmendOrder, *, is_day: bool) -> bool:
    """True if an order of this kind has the values that the command replaces."""
    if is_day and command.valid_until is not None:
        return False
    if isinstance(order, StopOrder):
        return _is_amendable_stop(order, command)
    if command.stop_price is not None:
        return False
    # An order that shows all cannot hide a part of it again.
    return not command.display_quantity or (isinstance(order, IcebergOrder) and order.display > 0)


def _is_amendable_stop(order: StopOrder, command: AmendOrder) -> bool:
    if not command.waits or order.trigger_price or command.display_quantity:
        return False
    price, stop_price = command.price or order.command.price, command.stop_price
    if order.command.price is None and price is not None:
        return False
    # A gateway that knew another price may not have seen that they contradict each other.
    return stop_price_fault(order.side, price, stop_price or order.stop_price) is None


def amended_stop(
    order: StopOrder, command: AmendOrder, clock: int
) -> tuple[EnterOrder, ClosedReason | None]:
    """A stop order with the values of the command, and why that closes it; None: it waits."""
    former = order.command
    if former.valid_until is not None and former.valid_until <= clock:
        # Left over from a backlog of expiries.
        return former, "expired"
    until = former.valid_until if command.valid_until is None else command.valid_until
    after = structs.replace(
        former,
        quantity=command.quantity or former.quantity,
        price=command.price or former.price,
        stop_price=command.stop_price or former.stop_price,
        valid_until=until,
    )
    return after, "expired" if until is not None and until <= clock else None


def keeps_stop_place(order: StopOrder, after: EnterOrder) -> bool:
    """True if an amended stop order keeps its place among those with its stop price."""
    former = order.command
    same = (after.price, after.stop_price) == (former.price, former.stop_price)
    return same and after.quantity <= former.quantity


def stop_amended(
    command: AmendOrder,
    after: EnterOrder,
    book_sequence: int,
    *,
    keeps: bool,
    closed_reason: ClosedReason | None,
) -> OrderAmended:
    """The event of an amendment of a stop order that waits."""
    return OrderAmended(
        after.order_id,
        after.broker_id,
        command.request,
        after.symbol,
        after.side,
        after.price,
        after.quantity,
        book_sequence,
        after.quantity,
        None if after.time_in_force == "day" else after.valid_until,
        keeps,
        closed_reason=closed_reason,
        stop_price=after.stop_price,
    )


def arriving_anew(order: Order, after: Amendment, *, is_day: bool, post_only: bool) -> EnterOrder:
    """An amended order in the form in which orders arrive."""
    return EnterOrder(
        order.order_id,
        order.broker_id,
        order.document_number,
        order.symbol,
        order.side,
        "limit",
        after.remaining,
        after.price,
        after.valid_until,
        time_in_force="day" if is_day else None,
        post_only=post_only,
        display_quantity=after.display,
        self_trade_prevention=order.self_trade_prevention,
    )


def order_amended(
    command: AmendOrder,
    order: Order,
    after: Amendment,
    book_sequence: int,
    *,
    is_changed: bool,
) -> OrderAmended:
    """The event of an amendment, still without fills; `after` is the state behind them.
    `is_changed`: the book is."""
    return OrderAmended(
        order.order_id,
        order.broker_id,
        command.request,
        order.symbol,
        order.side,
        after.price,
        after.remaining,
        book_sequence,
        after.quantity,
        after.valid_until,
        after.keeps_priority,
        order.price if is_changed else None,
        after.closed_reason,
        (),
        after.display,
        after.displayed,
    )


def refused_amendment(command: AmendOrder, code: RefusalCode) -> CommandRefused:
    """The refusal of an amendment."""
    return CommandRefused(code, command.order_id, command.broker_id, request=command.request)
