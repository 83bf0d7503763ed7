"""Open orders as the invariants know them, and checks of one order's event."""

from msgspec import Struct, structs

from schemas.book import Level
from schemas.commands import EnterOrder
from schemas.executions import OrderAccepted, OrderAmended, OrderEntered
from schemas.units import Side


def opposite(side: Side) -> Side:
    """The side that an order of `side` trades with."""
    return "ask" if side == "bid" else "bid"


class LedgerEntry(Struct):
    """An open order; its quantity is `remaining` + `filled` until it closes.

    `place`: higher for those behind. `shown`: the part of `remaining` that the book shows.
    `display`: the size of the next slice; 0: all.
    """

    event: OrderAccepted
    place: int
    remaining: int
    filled: int
    shown: int
    display: int = 0

    def show_slice(self) -> None:
        self.shown = min(self.display or self.remaining, self.remaining)


def check_conditions(command: EnterOrder, event: OrderEntered, filled: int) -> None:
    """The order has the conditions of its command and keeps to them."""
    conditions = ("time_in_force", "post_only", "minimum_quantity", "display_quantity")
    for field in (*conditions, "self_trade_prevention"):
        assert getattr(event, field) == getattr(command, field), f"{field} is not the command's"
    assert not (event.post_only and filled), "a post-only order took"
    if event.time_in_force == "fok":
        assert filled in {0, event.quantity}, "a part of a fill-or-kill order traded"
    if event.minimum_quantity is not None and filled < event.minimum_quantity:
        assert filled == 0, "less than the minimum traded"
        assert event.closed_reason in {"no_liquidity", "expired"}, "it rests without its minimum"


def check_displayed(event: OrderAccepted | OrderAmended, entry: LedgerEntry) -> None:
    """The event of an iceberg order that rests has what the book shows of it."""
    if isinstance(event, OrderEntered | OrderAmended):
        is_iceberg = event.display_quantity is not None
        assert event.displayed_quantity == (entry.shown if is_iceberg else None), "shows another"
        assert not is_iceberg or event.display_quantity == entry.display, "slices of another size"


def check_amended_stop(entry: LedgerEntry, event: OrderAmended) -> None:
    """A stop order that waits is amended outside the book, and keeps its place by the rule."""
    former = entry.event
    assert isinstance(former, OrderEntered)
    same = (event.price, event.stop_price) == (former.price, former.stop_price)
    keeps = same and event.remaining_quantity <= entry.remaining and event.closed_reason is None
    assert event.kept_priority == keeps, "priority is not by the rule"
    assert (event.former_price, event.fills) == (None, ()), "a stop order that waits is in a book"
    assert (event.side, event.symbol) == (former.side, former.symbol), "another order"
    entry.remaining = event.remaining_quantity
    entry.event = structs.replace(
        former,
        quantity=event.remaining_quantity,
        price=event.price,
        stop_price=event.stop_price,
        valid_until=event.valid_until,
    )


def totals(queue: list[LedgerEntry]) -> list[Level]:
    """The levels of a queue in priority order."""
    totals: dict[int, Level] = {}
    for entry in queue:
        price = entry.event.price or 0
        so_far = totals.get(price, Level(price, 0, 0))
        quantity = so_far.total_quantity + entry.shown
        totals[price] = Level(price, quantity, so_far.order_count + 1)
    return list(totals.values())
