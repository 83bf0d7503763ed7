"""The reader's SQL for lists: a symbol's trades, and a broker's orders and fills, each by an index.

Every failure is an ArchiveUnavailableError.
"""

from collections.abc import Iterable, Sequence
from typing import LiteralString

from msgspec import Struct, structs
from psycopg import AsyncConnection

from schemas.candles import Candle, Interval
from schemas.orders import OrderRecord
from schemas.queries import FillResource
from schemas.units import rfc3339
from services.reader.archive import SELECT_ORDERS, Archive, read_positions
from services.reader.overlay import Span
from services.reader.tape import TapeTrade

# Beyond every id.
_LOWEST = "00000000-0000-0000-0000-000000000000"
_HIGHEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_STOCK_TRADES: LiteralString = """
    SELECT sequence, id::text, price, quantity, aggressor_side,
        (extract(epoch FROM executed_at) * 1000)::bigint
    FROM trades WHERE partition = %s AND symbol = %s AND sequence BETWEEN %s AND %s
        AND EXISTS (SELECT FROM log_identity WHERE (cluster_id, topic, topic_id) = (%s, %s, %s))
    ORDER BY sequence
"""
_OF_BROKER: LiteralString = """
    WHERE broker_id = %(broker_id)s AND id > %(after)s AND id < %(before)s {client}
    ORDER BY orders.id {order} LIMIT %(scan)s
"""
_CANDLES: LiteralString = """
    SELECT (extract(epoch FROM start) * 1000)::bigint, open, high, low, close, volume,
        value::bigint, trades, first_sequence, last_sequence
    FROM candles WHERE partition = %(partition)s AND symbol = %(symbol)s
        AND interval = %(interval)s AND start >= to_timestamp(%(low)s / 1000.0)
        AND start < to_timestamp(%(high)s / 1000.0)
    ORDER BY candles.start {order} LIMIT %(limit)s
"""
# Each side's limit lets its index end early. The client order id is a look-up for each row: a join
# might read all orders.
_FILLS: LiteralString = """
    SELECT f.id::text || '-' || f.side, f.id::text, f.order_id::text,
        (SELECT o.client_order_id FROM orders AS o WHERE o.id = f.order_id), f.symbol, f.side,
        CASE WHEN f.aggressor_side = f.side THEN 'taker' ELSE 'maker' END, f.price, f.quantity,
        f.counterparty::text, f.sequence, (extract(epoch FROM f.executed_at) * 1000)::bigint
    FROM (
        (SELECT *, 'bid' AS side, buy_order_id AS order_id, buy_broker_id AS broker_id,
             sell_broker_id AS counterparty
         FROM trades WHERE {buyer} AND id > %(bid_after)s AND id < %(bid_before)s
         ORDER BY id {order} LIMIT %(scan)s)
        UNION ALL
        (SELECT *, 'ask' AS side, sell_order_id AS order_id, sell_broker_id AS broker_id,
             buy_broker_id AS counterparty
         FROM trades WHERE {seller} AND id > %(ask_after)s AND id < %(ask_before)s
         ORDER BY id {order} LIMIT %(scan)s)
    ) AS f WHERE f.broker_id = %(broker_id)s
    ORDER BY f.id {order}, f.side {order} LIMIT %(scan)s
"""


class StoredFills(Struct, frozen=True):
    """Fills in the order of the span, and the position of each partition in the same snapshot."""

    fills: Sequence[FillResource]
    positions: dict[int, int]


class StoredOrders(Struct, frozen=True):
    """Orders without trades in the order of the span, with the positions of the same snapshot."""

    orders: Sequence[OrderRecord]
    positions: dict[int, int]


class CandleSpan(Struct, frozen=True):
    """At most `limit` candles that start from `low` on and before `high`, in milliseconds.

    `newest`: the last of them, else the first.
    """

    low: int
    high: int
    newest: bool
    limit: int

    def of(self, candles: Iterable[Candle]) -> list[Candle]:
        """The span's part of candles that are sorted by start."""
        within = [candle for candle in candles if self.low <= candle.start < self.high]
        return within[-self.limit :] if self.newest else within[: self.limit]


class StoredCandles(Struct, frozen=True):
    """Candles of a span in any order, with the positions of the same snapshot."""

    candles: Sequence[Candle]
    positions: dict[int, int]


def candles_query(*, newest: bool) -> LiteralString:
    """The query of the last or the first candles of a span."""
    return _CANDLES.format(order="DESC" if newest else "ASC")


def orders_query(*, newest_first: bool, of_client_id: bool) -> LiteralString:
    """The query of a page of a broker's orders: of all, or of one client order id."""
    client: LiteralString = "AND client_order_id = %(client_order_id)s" if of_client_id else ""
    return SELECT_ORDERS + _OF_BROKER.format(order="DESC" if newest_first else "ASC", client=client)


def fills_query(*, newest_first: bool, of_order: bool) -> LiteralString:
    """The query of a page of fills: of a broker, or of one order."""
    order: LiteralString = "DESC" if newest_first else "ASC"
    buyer: LiteralString = "buy_broker_id = %(broker_id)s"
    seller: LiteralString = "sell_broker_id = %(broker_id)s"
    if of_order:
        buyer, seller = "buy_order_id = %(order_id)s", "sell_order_id = %(order_id)s"
    return _FILLS.format(order=order, buyer=buyer, seller=seller)


class ListArchive:
    """Lists in PostgreSQL, through the archive's connections."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def stock_trades(
        self, partition: int, symbol: str, low: int, high: int
    ) -> list[TapeTrade]:
        """The symbol's stored trades of sequences from `low` to `high`, oldest first. Raises
        ArchiveUnavailableError."""

        async def question(connection: AsyncConnection) -> list[TapeTrade]:
            asked = [partition, symbol, low, high, *structs.astuple(self._archive.identity)]
            found = await connection.execute(_STOCK_TRADES, asked)
            return [TapeTrade(*row) for row in await found.fetchall()]

        return await self._archive.ask(question)

    async def candles(
        self, partition: int, symbol: str, interval: Interval, span: CandleSpan
    ) -> StoredCandles:
        """The symbol's stored candles. Raises ArchiveUnavailableError."""
        query = candles_query(newest=span.newest)
        asked = {
            "partition": partition,
            "symbol": symbol,
            "interval": interval,
            "low": span.low,
            "high": span.high,
            "limit": span.limit,
        }

        async def question(connection: AsyncConnection) -> StoredCandles:
            found = await connection.execute(query, asked)
            candles = [Candle(*row) for row in await found.fetchall()]
            return StoredCandles(candles, await read_positions(connection, self._archive.identity))

        return await self._archive.ask(question)

    async def orders(self, broker_id: str, client_order_id: str | None, span: Span) -> StoredOrders:
        """The broker's stored orders; `client_order_id`: only those with this one. Raises
        ArchiveUnavailableError."""
        named = client_order_id is not None
        query = orders_query(newest_first=span.newest_first, of_client_id=named)
        asked = {
            "broker_id": broker_id,
            "client_order_id": client_order_id,
            "after": span.after or _LOWEST,
            "before": span.before or _HIGHEST,
            "scan": span.scan,
        }

        async def question(connection: AsyncConnection) -> StoredOrders:
            found = await connection.execute(query, asked)
            orders = [OrderRecord(*[*row, []]) for row in await found.fetchall()]
            return StoredOrders(orders, await read_positions(connection, self._archive.identity))

        return await self._archive.ask(question)

    async def fills(self, broker_id: str, order_id: str | None, span: Span) -> StoredFills:
        """The broker's stored fills; `order_id`: only those of this order. Raises
        ArchiveUnavailableError."""
        query = fills_query(newest_first=span.newest_first, of_order=order_id is not None)
        asked = {"broker_id": broker_id, "order_id": order_id, "scan": span.scan} | bounds_of(span)

        async def question(connection: AsyncConnection) -> StoredFills:
            found = await connection.execute(query, asked)
            fills = [
                FillResource(*[*fields, rfc3339(time)]) for *fields, time in await found.fetchall()
            ]
            return StoredFills(fills, await read_positions(connection, self._archive.identity))

        return await self._archive.ask(question)


def bounds_of(span: Span) -> dict[str, str]:
    """The span of fill ids as bounds of the trade ids of each side, all exclusive."""
    # Fills are in order of trade and side: of one trade the ask comes before the bid.
    bounds = dict.fromkeys(("bid_after", "ask_after"), _LOWEST)
    bounds |= dict.fromkeys(("bid_before", "ask_before"), _HIGHEST)
    if span.after is not None:
        trade_id, _, side = span.after.rpartition("-")
        bounds["ask_after"] = trade_id
        bounds["bid_after"] = trade_id if side == "bid" else _beside(trade_id, -1)
    if span.before is not None:
        trade_id, _, side = span.before.rpartition("-")
        bounds["bid_before"] = trade_id
        bounds["ask_before"] = trade_id if side == "ask" else _beside(trade_id, 1)
    return bounds


def _beside(trade_id: str, step: int) -> str:
    number = int(trade_id.replace("-", ""), 16) + step
    text = f"{max(0, min(number, (1 << 128) - 1)):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
