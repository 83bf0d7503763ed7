"""Queries of public market data, served by FastAPI: stocks."""

from itertools import islice
from typing import Annotated, Literal

from fastapi import Path, Query

from schemas.queries import StockResource, StocksResource
from schemas.units import NewSymbol, Symbol
from services.api.framework import ServiceRouter
from services.api.messages import Response, Route, json_response
from services.api.partition_map import PartitionMap
from services.api.query import Count, Text
from services.reader.app import PAGE_DEFAULT, PAGE_MAX, Reader
from services.reader.stocks import stock, symbols_after

SymbolInPath = Annotated[
    str,
    Text(NewSymbol, "1 to 10 of A-Z, 0-9, dot, underscore and hyphen, but not . or .."),
    Path(),
]
Limit = Annotated[int, Count(PAGE_MAX), Query(description="Most entries in an answer")]
CURSOR = "`next_cursor` of the previous answer"
NOT_A_CURSOR = "must be the next_cursor of an answer"


class MarketRoutes:
    """Answers from the reader's views and the listings."""

    def __init__(self, reader: Reader, partition_map: PartitionMap) -> None:
        self._reader = reader
        self._partition_map = partition_map

    async def get_stocks(
        self,
        listed: Annotated[
            Literal["true", "false"] | None,
            Query(description="Only stocks with or without listing"),
        ] = None,
        limit: Limit = PAGE_DEFAULT,
        cursor: Annotated[
            Annotated[str, Text(Symbol, NOT_A_CURSOR)] | None, Query(description=CURSOR)
        ] = None,
    ) -> Response:
        """`GET /stocks`."""
        views = self._reader.ready_views()
        wanted = None if listed is None else listed == "true"
        found = symbols_after(views, self._partition_map, cursor or "", listed=wanted)
        # One more than requested shows whether another page follows.
        symbols = list(islice(found, limit + 1))
        page = [stock(views, self._partition_map, symbol) for symbol in symbols[:limit]]
        more = len(symbols) > limit
        return json_response(200, StocksResource(page, page[-1].symbol if more else None))

    async def get_stock(self, symbol: SymbolInPath) -> Response:
        """`GET /stocks/{symbol}`."""
        views = self._reader.ready_views()
        return json_response(200, stock(views, self._partition_map, symbol))

    def router(self) -> ServiceRouter:
        """The calls, for the gateway and the document."""
        return ServiceRouter(
            [
                Route(
                    method="GET",
                    path="/stocks",
                    handler=self.get_stocks,
                    who="broker",
                    summary="The stocks by symbol: listed ones, and those that were traded",
                    answers={200: StocksResource},
                    problems=("invalid", "not_accepted"),
                    strict_query=True,
                ),
                Route(
                    method="GET",
                    path="/stocks/{symbol}",
                    handler=self.get_stock,
                    who="broker",
                    summary="One stock: its listing, partition and newest figures",
                    answers={200: StockResource},
                    problems=("invalid", "not_accepted"),
                    strict_query=True,
                ),
            ]
        )
