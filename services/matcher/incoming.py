"""Decisions about one incoming order: what it trades at once, why it closes, is it a retry.

Pure.
"""

from collections.abc import Iterator
from itertools import islice

from msgspec.structs import asdict

from schemas.commands import EnterOrder, PlaceOrder
from schemas.executions import (
    CommandRefused,
    Event,
    OrderAccepted,
    OrderEntered,
    OrderRepeated,
    RefusalCode,
)
from schemas.snapshots import ClientIdRow
from schemas.units import ClosedReason
from services.matcher.book import Book, BookSide, IcebergOrder, PriceLevel
from services.matcher.window import content_of


def crosses(command: PlaceOrder, price: int) -> bool:
    """True if the order would trade at this price of the opposite side."""
    limit = command.price
    if limit is None:
        return True
    return limit >= price if command.side == "bid" else limit <= price


def may_rest(command: PlaceOrder) -> bool:
    """True if what is left of the order after matching goes into the book."""
    if command.order_type == "market":
        return False
    return type(command) is not EnterOrder or command.time_in_force not in ("ioc", "fok")


def is_stop(command: PlaceOrder) -> bool:
    """True if the order waits for its stop price when it arrives."""
    return type(command) is EnterOrder and command.stop_price is not None


def closed_reason(
    command: PlaceOrder, remaining: int, best: PriceLevel | None
) -> ClosedReason | None:
    """Reason to close the order after matching; None if it rests. `best`: opposite level now."""
    if remaining == 0:
        return "filled"
    # Still crossing: the order reached `fills_max`, and its rest is cancelled.
    if best is not None and crosses(command, best.price):
        return "cancelled"
    return None if may_rest(command) else "no_liquidity"


def takes_enough(command: EnterOrder, opposite: BookSide, clock: int, steps_max: int) -> bool:
    """True unless the order needs more than what it would trade at once."""
    if command.time_in_force == "fok":
        needed = command.quantity
    elif command.minimum_quantity is not None:
        needed = command.minimum_quantity
    else:
        return True
    return _quantity_at_once(command, opposite, clock, steps_max, needed) == needed


def conditions_refusal(
    command: EnterOrder, book: Book | None, clock: int, steps_max: int
) -> RefusalCode | None:
    """Refusal of an order for its conditions; None: they allow it."""
    if command.stop_price is not None:
        has_instrument = book is not None and book.instrument is not None
        return None if has_instrument else "needs_instrument"
    if not command.post_only or book is None:
        return None
    opposite = book.asks if command.side == "bid" else book.bids
    trades = _quantity_at_once(command, opposite, clock, steps_max, 1) > 0
    return "post_only_would_trade" if trades else None


def _quantity_at_once(
    command: PlaceOrder, opposite: BookSide, clock: int, steps_max: int, wanted: int
) -> int:
    """The shares that the order would trade at once, but no more than `wanted`."""
    found = 0
    for quantity in islice(_steps(opposite.levels_within(command.price), clock), steps_max):
        found += quantity
        if found >= wanted:
            return wanted
    return found


def _steps(levels: Iterator[PriceLevel], clock: int) -> Iterator[int]:
    """The shares that each step of matching would find, in order.

    An order that is due takes a step and trades nothing. A level's hidden shares come in slices,
    behind all that it shows.
    """
    for level in levels:
        hidden: list[tuple[int, int]] = []
        for maker in level.open_orders():
            if maker.valid_until is not None and maker.valid_until <= clock:
                yield 0
                continue
            yield maker.remaining
            if type(maker) is IcebergOrder and maker.hidden:
                hidden.append((maker.display or maker.hidden, maker.hidden))
        while hidden:
            yield from (min(slice_) for slice_ in hidden)
            hidden = [(display, left - display) for display, left in hidden if left > display]


def with_conditions(command: EnterOrder, event: Event, displayed: int | None) -> Event:
    """The event of an order, with the conditions of its command if it was accepted.

    `displayed`: what the book shows of it, if it rests as an iceberg order.
    """
    if type(event) is not OrderAccepted:
        return event
    return OrderEntered(
        **asdict(event),
        time_in_force=command.time_in_force,
        post_only=command.post_only,
        minimum_quantity=command.minimum_quantity,
        stop_price=command.stop_price,
        display_quantity=command.display_quantity,
        displayed_quantity=displayed,
    )


def used_before(command: PlaceOrder, known: ClientIdRow) -> OrderRepeated | CommandRefused:
    """The event of an order whose client order id is known: a retry, or another order."""
    original, content = known.order.split(" ", 1)
    if content == content_of(command):
        return OrderRepeated(command.order_id, command.broker_id, original)
    return CommandRefused("client_order_id_reused", command.order_id, command.broker_id, original)
