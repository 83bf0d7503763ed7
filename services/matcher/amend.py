"""Decisions about an amendment of an open order: its values afterwards, and whether it keeps its
place in the book. Pure."""

from msgspec import Struct, structs

from schemas.commands import AmendOrder, EnterOrder
from schemas.executions import CommandRefused, Fill, OrderAmended, RefusalCode
from schemas.units import ClosedReason
from services.matcher.book import Order


class Amendment(Struct, frozen=True, gc=False):
    """An order's values after its amendment. `quantity` None: never amended.

    `closed_reason`: the amendment closes the order, which then trades nothing.
    """

    price: int
    quantity: int | None
    remaining: int
    valid_until: int | None
    keeps_priority: bool = False
    closed_reason: ClosedReason | None = None


def amendment_of(
    order: Order, command: AmendOrder, amended_quantity: int | None, clock: int
) -> Amendment:
    """The values after the command; `amended_quantity`: the one that an earlier amendment set."""
    before = Amendment(order.price, amended_quantity, order.remaining, order.valid_until)
    if before.valid_until is not None and before.valid_until <= clock:
        # Left over from a backlog of expiries: no amendment can extend it.
        return structs.replace(before, closed_reason="expired")
    price = order.price if command.price is None else command.price
    quantity, remaining = amended_quantity, order.remaining
    if command.quantity is not None:
        former = command.of_quantity if amended_quantity is None else amended_quantity
        quantity = command.quantity
        # Never more than the quantity, whatever a foreign writer gives as the former one.
        remaining = min(remaining + quantity - (former or 0), quantity)
        if remaining <= 0:
            return structs.replace(before, closed_reason="cancelled")
    until = order.valid_until if command.valid_until is None else command.valid_until
    if until is not None and until <= clock:
        return Amendment(price, quantity, remaining, until, closed_reason="expired")
    keeps = price == order.price and remaining <= order.remaining
    return Amendment(price, quantity, remaining, until, keeps)


def arriving_anew(order: Order, after: Amendment, *, post_only: bool) -> EnterOrder:
    """An amended order in the form in which orders arrive; its document is not needed."""
    return EnterOrder(
        order.order_id,
        order.broker_id,
        "",
        order.symbol,
        order.side,
        "limit",
        after.remaining,
        after.price,
        after.valid_until,
        post_only=post_only,
    )


def order_amended(
    command: AmendOrder,
    order: Order,
    after: Amendment,
    book_sequence: int,
    *,
    is_changed: bool,
    fills: tuple[Fill, ...] = (),
) -> OrderAmended:
    """The event of an amendment; `after` is the state after its fills. `is_changed`: the book
    is."""
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
        fills,
    )


def refused_amendment(command: AmendOrder, code: RefusalCode) -> CommandRefused:
    """The refusal of an amendment."""
    return CommandRefused(code, command.order_id, command.broker_id, request=command.request)
