"""Answers of the queries: lists of stocks, orders, fills and trades, candles and tickers.

Instants are RFC 3339 text in UTC, prices integer cents, quantities shares. A list is answered in
pages: `next_cursor` asks for the next one, null: there is none.
"""

from typing import Literal

from msgspec import Struct


class StockResource(Struct, frozen=True):
    """A symbol. `price_scale`: decimal places of a price in the currency's unit.

    `trade_sequence` and `book_sequence` count its trades and the changes of its book; 0: none.
    """

    symbol: str
    listed: bool
    partition: int
    last_price: int | None
    trade_sequence: int
    book_sequence: int
    currency: Literal["BRL"] = "BRL"
    price_scale: Literal[2] = 2
    tick_size: Literal[1] = 1
    lot_size: Literal[1] = 1


class StocksResource(Struct, frozen=True):
    """Stocks by symbol: the listed ones, and those that have had an open order."""

    stocks: list[StockResource]
    next_cursor: str | None


class ValidOrder(Struct, frozen=True):
    """`POST /orders` would accept this order; quotas are checked only there."""

    symbol: str
    partition: int
    listed: bool
    valid: Literal[True] = True
