"""The state that V2 and V3 load from the database when they start."""

from collections.abc import AsyncIterator
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row, kwargs_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.designs.market import DesignBook, DesignMarket, DesignOrder, DesignTrade
from schemas.orders import OrderTrade

_ORDERS = """
    SELECT order_id::text, broker_id::text, document_number, symbol, side, order_type, quantity,
           remaining_quantity, filled_value, created_at, updated_at, price, valid_until,
           client_order_id, closed_reason, arrival
    FROM orders ORDER BY arrival
"""
_TRADES = """
    SELECT symbol, sequence, trade_id::text, price, quantity, maker_order_id::text,
           maker_broker_id::text, taker_order_id::text, taker_broker_id::text, taker_side,
           executed_at
    FROM trades ORDER BY symbol, sequence
"""
_POSITIONS = "SELECT broker_id::text, symbol, quantity::bigint, cash::numeric FROM positions"


async def load_open(market: DesignMarket, pool: AsyncConnectionPool) -> None:
    """Load books, and the client order ids with which later orders are compared."""
    async with pool.connection() as connection:
        await _load_symbols(market, connection)
        async for order in _orders(connection):
            market.remember(order)
            market.arrivals = order.arrival
            if order.closed_reason is None:
                market.restore(order)


async def load_all(market: DesignMarket, pool: AsyncConnectionPool) -> None:
    """Load all orders and trades."""
    async with pool.connection() as connection:
        await _load_symbols(market, connection)
        async for order in _orders(connection):
            market.remember(order)
            market.restore(order)
        cursor = connection.cursor(row_factory=class_row(DesignTrade))
        await cursor.execute(_TRADES)
        async for trade in cursor:
            market.book(trade.symbol).prices.append(trade.price)
            _add_trade(market.orders[trade.maker_order_id], trade, trade.taker_broker_id)
            _add_trade(market.orders[trade.taker_order_id], trade, trade.maker_broker_id)
        positions = await connection.execute(_POSITIONS)
        async for broker_id, symbol, quantity, cash in positions:
            market.balances.add(broker_id, symbol, quantity, int(cash))


def _add_trade(order: DesignOrder, trade: DesignTrade, other: str) -> None:
    order.trades_count += 1
    order.trades.append(
        OrderTrade(trade.trade_id, trade.price, trade.quantity, other, trade.executed_at)
    )


async def _load_symbols(market: DesignMarket, connection: AsyncConnection) -> None:
    statement = "SELECT symbol, book_sequence, trade_sequence FROM symbols"
    async for symbol, sequence, trade_sequence in await connection.execute(statement):
        market.books[symbol] = DesignBook(symbol, sequence, trade_sequence)


async def _orders(connection: AsyncConnection) -> AsyncIterator[DesignOrder]:
    cursor = connection.cursor(row_factory=kwargs_row(_order))
    await cursor.execute(_ORDERS)
    async for order in cursor:
        yield order


def _order(**columns: Any) -> DesignOrder:
    # The designs have orders without conditions only.
    return DesignOrder(
        trades=[],
        time_in_force=None,
        post_only=False,
        minimum_quantity=None,
        stop_price=None,
        triggered_at=None,
        display_quantity=None,
        displayed_quantity=None,
        self_trade_prevention=None,
        trades_count=0,
        **columns,
    )
