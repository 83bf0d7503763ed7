"""Queries of public market data, served by FastAPI: stocks and their trades."""

from itertools import islice
from typing import Annotated, Literal

from fastapi import Query
from msgspec import Meta
from pydantic import Field

from schemas.queries import StockResource, StocksResource, StockTradesResource
from schemas.units import Symbol
from services.api.framework import ServiceRouter
from services.api.messages import Response, Route, json_response
from services.api.partition_map import PartitionMap
from services.api.query import SymbolInPath, Text
from services.reader.app import Reader
from services.reader.errors import OrderStateUnknownError
from services.reader.parameters import NOT_A_CURSOR, PageQuery, unreadable
from services.reader.stock_trades import StockTrades
from services.reader.stocks import stock, symbols_after

_Sequence = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,17}$(?!\n)")]
_SequenceOrZero = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,17})$(?!\n)")]


class StocksQuery(PageQuery):
    """The parameters of `GET /stocks`."""

    listed: Annotated[
        Literal["true", "false"] | None, Field(description="Only stocks with or without listing")
    ] = None
    cursor: Annotated[
        Annotated[str, Text(Symbol, NOT_A_CURSOR)] | None,
        Field(description="`next_cursor` of the previous answer"),
    ] = None


class StockTradesQuery(PageQuery):
    """The parameters of `GET /stocks/{symbol}/trades`."""

    after: Annotated[
        Annotated[str, Text(_SequenceOrZero, "must be the sequence of a trade, or 0")] | None,
        Field(description="Only trades beyond this sequence, oldest first"),
    ] = None
    cursor: Annotated[
        Annotated[str, Text(_Sequence, NOT_A_CURSOR)] | None,
        Field(description="`next_cursor` of the previous answer"),
    ] = None

    def sequences(self, newest: int) -> range:
        """The sequences of the page, of a symbol whose newest trade has `newest`."""
        if self.after is None:
            high = newest if self.cursor is None else min(newest, int(self.cursor) - 1)
            return range(max(1, high - self.limit + 1), high + 1)
        # The cursor of a later page is beyond `after`.
        low = int(self.cursor or self.after) + 1
        return range(low, min(newest, low + self.limit - 1) + 1)


class MarketRoutes:
    """Answers from the reader's views and the listings; older trades from PostgreSQL."""

    def __init__(self, reader: Reader, partition_map: PartitionMap, trades: StockTrades) -> None:
        self._reader = reader
        self._partition_map = partition_map
        self._trades = trades

    async def get_stocks(self, query: Annotated[StocksQuery, Query()]) -> Response:
        """`GET /stocks`."""
        views = self._reader.ready_views()
        listed = None if query.listed is None else query.listed == "true"
        found = symbols_after(views, self._partition_map, query.cursor or "", listed=listed)
        # One more than requested shows whether another page follows.
        symbols = list(islice(found, query.limit + 1))
        page = [stock(views, self._partition_map, symbol) for symbol in symbols[: query.limit]]
        more = len(symbols) > query.limit
        return json_response(200, StocksResource(page, page[-1].symbol if more else None))

    async def get_stock(self, symbol: SymbolInPath) -> Response:
        """`GET /stocks/{symbol}`."""
        views = self._reader.ready_views()
        return json_response(200, stock(views, self._partition_map, symbol))

    async def get_trades(
        self, symbol: SymbolInPath, query: Annotated[StockTradesQuery, Query()]
    ) -> Response:
        """`GET /stocks/{symbol}/trades`."""
        newest = self._reader.ready_views().trade_sequence(symbol)
        wanted = query.sequences(newest)
        try:
            trades = await self._trades.read(symbol, wanted)
        except OrderStateUnknownError as error:
            raise unreadable() from error
        page = [trade.resource() for trade in trades]
        # The cursor counts sequences, not trades: old ones may have been deleted.
        if query.after is None:
            page.reverse()
            cursor = str(wanted.start) if wanted.start > 1 and page else None
        else:
            cursor = str(wanted.stop - 1) if wanted.stop <= newest else None
        return json_response(200, StockTradesResource(page, cursor))

    def router(self) -> ServiceRouter:
        """The calls, for the gateway and the document."""
        return ServiceRouter(
            [
                Route(
                    method="GET",
                    path="/stocks",
                    handler=self.get_stocks,
                    who="market",
                    summary="The stocks by symbol: listed ones, and those that were traded",
                    answers={200: StocksResource},
                    problems=("invalid", "not_accepted"),
                    strict_query=True,
                ),
                Route(
                    method="GET",
                    path="/stocks/{symbol}",
                    handler=self.get_stock,
                    who="market",
                    summary="One stock: its listing, partition and newest figures",
                    answers={200: StockResource},
                    problems=("invalid", "not_accepted"),
                    strict_query=True,
                ),
                Route(
                    method="GET",
                    path="/stocks/{symbol}/trades",
                    handler=self.get_trades,
                    who="market",
                    summary="The trades of a symbol, newest first; with after, oldest first",
                    answers={200: StockTradesResource},
                    problems=("invalid", "not_accepted"),
                    strict_query=True,
                ),
            ]
        )
