"""Decisions about an amendment of an open order: its values afterwards, and whether it keeps its
place in the book. Pure."""

from msgspec import Struct, structs

from schemas.commands import AmendOrder, EnterOrder
from schemas.executions import CommandRefused, OrderAmended, RefusalCode
from schemas.units import ClosedReason
from services.matcher.book import IcebergOrder, Order
from services.matcher.instrument import OrderTerms
from services.matcher.stops import StopOrder


class Amendment(Struct, frozen=True, gc=False):
    """An order's values after its amendment. `quantity` None: never amended.

    `remaining` includes what the book does not show. Only iceberg orders have `display`, and, once
    they rest, `displayed`: what the book shows. `closed_reason`: the amendment closes the order,
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
    if isinstance(order, StopOrder) or (is_day and command.valid_until is not None):
        return False
    # An order that shows all cannot hide a part of it again.
    return not command.display_quantity or (isinstance(order, IcebergOrder) and order.display > 0)


def arriving_anew(
    order: Order, after: Amendment, terms: OrderTerms | None, *, is_day: bool, post_only: bool
) -> EnterOrder:
    """An amended order in the form in which orders arrive; without terms it needs no document."""
    return EnterOrder(
        order.order_id,
        order.broker_id,
        "" if terms is None else terms.document_number,
        order.symbol,
        order.side,
        "limit",
        after.remaining,
        after.price,
        after.valid_until,
        time_in_force="day" if is_day else None,
        post_only=post_only,
        display_quantity=after.display,
        self_trade_prevention=None if terms is None else terms.self_trade_prevention,
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
