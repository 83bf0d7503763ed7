"""Decisions about one incoming order: its trades at once, the reason of its close, retries.

Pure.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate, islice

from msgspec.structs import astuple

from schemas.commands import EnterOrder, PlaceOrder
from schemas.conditions import needs_instrument
from schemas.executions import (
    CommandRefused,
    OrderAccepted,
    OrderEntered,
    OrderRepeated,
    Prevented,
    RefusalCode,
)
from schemas.snapshots import ClientIdRow
from schemas.units import ClosedReason
from services.matcher.book import Book, IcebergOrder, PriceLevel
from services.matcher.protection import Protection
from services.matcher.window import content_of


def crosses(command: PlaceOrder, price: int) -> bool:
    """True if the order would trade at this price of the opposite side."""
    limit = command.price
    if limit is None:
        return True
    return limit >= price if command.side == "bid" else limit <= price


def may_rest(command: PlaceOrder) -> bool:
    """True if the remaining quantity rests in the book after matching."""
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


def needed_at_once(command: EnterOrder) -> int | None:
    """The shares that the order must trade at once, or it trades none; None: it need not."""
    return command.quantity if command.time_in_force == "fok" else command.minimum_quantity


def conditions_refusal(
    command: EnterOrder, book: Book | None, clock: int, steps_max: int
) -> RefusalCode | None:
    """Refusal of an order for its conditions; None: they allow it.

    A post-only order may not cross, whether it would trade or its protection would close it.
    """
    if needs_instrument(command) and (book is None or book.instrument is None):
        return "needs_instrument"
    if not command.post_only or book is None:
        return None
    opposite = book.asks if command.side == "bid" else book.bids
    steps = steps_of(opposite.levels_within(command.price), clock, None)
    return "post_only_would_trade" if trades_enough(islice(steps, steps_max), 1) else None


def trades_enough(steps: Iterable[int], needed: int) -> bool:
    """True if steps with these quantities trade `needed` shares in all."""
    return any(total >= needed for total in accumulate(steps))


def steps_of(
    levels: Iterator[PriceLevel], clock: int, protection: Protection | None
) -> Iterator[int]:
    """The shares that each step of matching would find at these levels, in order.

    An order that is due takes a step and trades nothing, as one that `protection` passes over. A
    level's hidden shares come in slices, behind all that it shows.
    """
    for level in levels:
        hidden: list[tuple[int, int]] = []
        for maker in level.open_orders():
            if maker.valid_until is not None and maker.valid_until <= clock:
                yield 0
                continue
            if protection is not None:
                if not protection.allows(level.price):
                    return
                if protection.prevents(maker):
                    if protection.mode != "cancel_maker":
                        return
                    yield 0
                    continue
            yield maker.remaining
            if type(maker) is IcebergOrder and maker.hidden:
                hidden.append((maker.display or maker.hidden, maker.hidden))
        while hidden:
            yield from (min(slice_) for slice_ in hidden)
            hidden = [(display, left - display) for display, left in hidden if left > display]


def with_conditions(
    command: EnterOrder,
    event: OrderAccepted,
    prevented: tuple[Prevented, ...],
    displayed: int | None,
) -> OrderEntered:
    """The event of an accepted order with the conditions of its command.

    `displayed`: the visible quantity of an iceberg order that rests, else None.
    """
    conditions = (
        command.time_in_force,
        command.post_only,
        command.minimum_quantity,
        command.stop_price,
        command.display_quantity,
        displayed,
        command.self_trade_prevention,
        prevented,
    )
    # By position, which takes a third of the time.
    return OrderEntered(*(*astuple(event), *conditions))


def used_before(command: PlaceOrder, known: ClientIdRow) -> OrderRepeated | CommandRefused:
    """The event of an order whose client order id is known: a retry, or another order."""
    original, content = known.order.split(" ", 1)
    if content == content_of(command):
        return OrderRepeated(command.order_id, command.broker_id, original)
    return CommandRefused("client_order_id_reused", command.order_id, command.broker_id, original)
