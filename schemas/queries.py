"""Answers of the queries: lists of stocks, orders, fills and trades, candles and tickers.

Instants are RFC 3339 text in UTC, prices integer cents, quantities shares. A list is answered in
pages: `next_cursor` asks for the next one, null: there is none.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.candles import Interval
from schemas.executions import RefusalCode
from schemas.instruments import Phase
from schemas.market_controls import InstrumentResource
from schemas.units import ClosedReason, OrderKind, SelfTradePreventionChoice, Side, TimeInForce


class StockResource(Struct, frozen=True):
    """A symbol. `price_scale`: decimal places of a price in the currency's unit.

    `trade_sequence` and `book_sequence` count its trades and the changes of its book; 0: none.
    `instrument`: the rules that an operator has set; null: there are none, and any price and
    quantity may be ordered.
    """

    symbol: str
    listed: bool
    partition: int
    last_price: int | None
    trade_sequence: int
    book_sequence: int
    currency: Literal["BRL"] = "BRL"
    price_scale: Literal[2] = 2
    tick_size: int = 1
    lot_size: int = 1
    phase: Phase = "continuous"
    instrument: InstrumentResource | None = None


class StocksResource(Struct, frozen=True):
    """Stocks by symbol: the listed ones, and those that have had an open order."""

    stocks: list[StockResource]
    next_cursor: str | None


class OrderWarning(Struct, frozen=True):
    """A refusal that the matcher would give now."""

    code: RefusalCode
    detail: str


class ValidOrder(Struct, frozen=True):
    """`POST /orders` would send this order to the matcher; quotas are checked only there.

    `warnings`: reasons for which the matcher would refuse it in the present `phase` and by the
    present rules of the symbol, if known to this process; null: it does not know the phase.
    """

    symbol: str
    partition: int
    listed: bool
    phase: Phase | None = None
    warnings: tuple[OrderWarning, ...] = ()
    valid: Literal[True] = True


class StockTradeResource(Struct, frozen=True):
    """One trade of a symbol; `sequence` numbers them from 1 without a gap."""

    sequence: int
    trade_id: str
    price: int
    quantity: int
    aggressor_side: Side
    executed_at: str


class StockTradesResource(Struct, frozen=True):
    """Trades of a symbol, newest first, or oldest first with `after`."""

    trades: list[StockTradeResource]
    next_cursor: str | None


FILL_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-(bid|ask)$(?!\n)"
FillId = Annotated[str, Meta(pattern=FILL_ID, description="Trade and side, as in webhook-id.")]


def fill_id(trade_id: str, side: Side) -> str:
    """The id of one side of a trade, as `webhook-id` has it. In the order of execution."""
    return f"{trade_id}-{side}"


class FillResource(Struct, frozen=True):
    """One of the broker's sides of a trade. `counterparty_broker` is the other broker's id."""

    fill_id: str
    trade_id: str
    order_id: str
    client_order_id: str | None
    symbol: str
    side: Side
    role: Literal["maker", "taker"]
    price: int
    quantity: int
    counterparty_broker: str
    sequence: int
    executed_at: str


class FillsResource(Struct, frozen=True):
    """The broker's fills, newest first, or oldest first with `sort=oldest`."""

    fills: list[FillResource]
    next_cursor: str | None


class OrderSummary(Struct, frozen=True):
    """An order in its present state, with the number of its trades instead of the trades."""

    order_id: str
    id: str
    client_order_id: str | None
    symbol: str
    side: Side
    order_type: OrderKind
    price: int | None
    quantity: int
    remaining_quantity: int
    filled_quantity: int
    average_price: int | None
    status: Literal["open", "closed"]
    closed_reason: ClosedReason | None
    valid_until: str | None
    created_at: str
    updated_at: str
    time_in_force: TimeInForce
    post_only: bool
    minimum_quantity: int | None
    stop_price: int | None
    triggered_at: str | None
    display_quantity: int | None
    displayed_quantity: int | None
    self_trade_prevention: SelfTradePreventionChoice
    trades_count: int


class OrdersResource(Struct, frozen=True):
    """The broker's orders, newest first, or oldest first with `sort=oldest`."""

    orders: list[OrderSummary]
    next_cursor: str | None


class CandleResource(Struct, frozen=True):
    """The trades of one interval from `start` on; `value` is the sum of price times quantity.

    `closed`: the market's time has reached the end. Without a trade, in a list with
    `fill=previous`, all prices are the previous close and both sequences are null.
    """

    start: str
    open: int
    high: int
    low: int
    close: int
    volume: int
    value: int
    trades: int
    first_sequence: int | None
    last_sequence: int | None
    closed: bool


class CandlesResource(Struct, frozen=True):
    """Candles of a symbol, oldest first. `as_of` is the market's time up to which they are."""

    symbol: str
    interval: Interval
    candles: list[CandleResource]
    as_of: str


class TickerResource(Struct, frozen=True):
    """Newest price, best prices, and the trades from `window_start` on.

    Without a trade in that time, `open`, `high` and `low` are null and the sums 0; `last` stays.
    `phase`: of the symbol's market.
    """

    symbol: str
    last: int | None
    open: int | None
    high: int | None
    low: int | None
    volume: int
    value: int
    trades: int
    bid: int | None
    bid_quantity: int | None
    ask: int | None
    ask_quantity: int | None
    sequence: int
    phase: Phase
    window_start: str
    as_of: str


class TickersResource(Struct, frozen=True):
    """Tickers by symbol."""

    tickers: list[TickerResource]
    next_cursor: str | None
