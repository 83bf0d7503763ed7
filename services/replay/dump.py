"""The books, open orders and stop orders of an engine as structs, to be written as JSON.

Pure. Client order ids are left out; the digest covers them too.
"""

from msgspec import Struct

from schemas.book import Level
from schemas.instruments import Phase
from schemas.units import SelfTradePrevention, Side, TimeInForce
from services.matcher.book import Book, IcebergOrder, Order
from services.matcher.engine import Engine
from services.matcher.stops import StopOrder


class OpenOrder(Struct, frozen=True):
    """An open order. `accepted_at` is the offset of the command that placed it.

    `display_quantity`: of an iceberg order, the size of its next slice (0: all);
    `displayed_quantity`: the part of what remains that the book shows. `document_number`: of an
    order that entered a symbol with an instrument. `time_in_force` day: the close of the symbol
    ends it; that is its `valid_until` then.
    """

    order_id: str
    broker_id: str
    price: int
    remaining_quantity: int
    valid_until: int | None
    accepted_at: int
    display_quantity: int | None
    displayed_quantity: int
    document_number: str | None
    self_trade_prevention: SelfTradePrevention | None
    time_in_force: TimeInForce


class DumpedBook(Struct, frozen=True):
    """One symbol: levels best first, orders in priority order. `phase` None: no instrument."""

    symbol: str
    phase: Phase | None
    sequence: int
    trade_sequence: int
    bids: list[Level]
    asks: list[Level]
    bid_orders: list[OpenOrder]
    ask_orders: list[OpenOrder]


class WaitingStop(Struct, frozen=True):
    """A stop order outside the books. `price`: the limit; None: it will take as a market order.

    `trigger_price`: the trade that elected it, so that it takes with the next command; None: it has
    not been elected.
    """

    order_id: str
    broker_id: str
    symbol: str
    side: Side
    stop_price: int
    price: int | None
    quantity: int
    valid_until: int | None
    accepted_at: int
    trigger_price: int | None
    document_number: str
    self_trade_prevention: SelfTradePrevention | None
    time_in_force: TimeInForce


class Dump(Struct, frozen=True):
    """A partition after the command before `next_offset`; `clock` in milliseconds.

    `open_orders` counts the orders of the books and the stop orders, which come oldest first.
    """

    partition: int
    next_offset: int
    clock: int
    digest: str
    open_orders: int
    books: list[DumpedBook]
    stops: list[WaitingStop]


def dump(engine: Engine, next_offset: int) -> Dump:
    """Every book of the engine by symbol, including empty ones."""
    return Dump(
        engine.partition,
        next_offset,
        engine.clock,
        engine.digest().hex(),
        len(engine.open_orders),
        [_book(engine.books[symbol], engine) for symbol in sorted(engine.books)],
        sorted(
            (_stop(order) for order in engine.open_orders.values() if isinstance(order, StopOrder)),
            key=lambda stop: stop.accepted_at,
        ),
    )


def _stop(order: StopOrder) -> WaitingStop:
    return WaitingStop(
        order.order_id,
        order.broker_id,
        order.symbol,
        order.side,
        order.stop_price,
        order.command.price,
        order.remaining,
        order.valid_until,
        order.accepted_at,
        order.trigger_price or None,
        order.command.document_number,
        order.command.self_trade_prevention,
        order.command.time_in_force or "gtc",
    )


def _book(book: Book, engine: Engine) -> DumpedBook:
    return DumpedBook(
        book.symbol,
        None if book.instrument is None else book.instrument.phase,
        book.sequence,
        book.trade_sequence,
        book.levels("bid"),
        book.levels("ask"),
        [_order(order, engine) for order in book.orders("bid")],
        [_order(order, engine) for order in book.orders("ask")],
    )


def _order(order: Order, engine: Engine) -> OpenOrder:
    return OpenOrder(
        order.order_id,
        order.broker_id,
        order.price,
        order.unfilled,
        order.valid_until,
        order.accepted_at,
        order.display if isinstance(order, IcebergOrder) else None,
        order.remaining,
        order.document_number or None,
        order.self_trade_prevention,
        "day" if order.order_id in engine.day_orders else "gtc",
    )
