"""Queries of tickers, served by FastAPI."""

from bisect import bisect_right
from itertools import islice
from typing import Annotated

from fastapi import Query
from msgspec import Meta
from pydantic import Field

from schemas.queries import TickerResource, TickersResource
from schemas.units import Symbol
from services.api.framework import ServiceRouter
from services.api.messages import Response, Route, json_response
from services.api.query import Count, SymbolInPath, Text
from services.reader.app import Reader
from services.reader.hot_parameters import PAGE_MAX
from services.reader.parameters import NOT_A_CURSOR, PageQuery
from services.reader.tickers import ticker

EVERY = "*"
_Symbols = Annotated[
    str, Meta(pattern=r"^(\*|[A-Z0-9._-]{1,10}(,[A-Z0-9._-]{1,10}){0,499})$(?!\n)")
]


class TickersQuery(PageQuery):
    """The parameters of `GET /tickers`. One answer has the tickers of a whole market."""

    limit: Annotated[int, Count(PAGE_MAX), Field(description="Most entries in an answer")] = (
        PAGE_MAX
    )
    symbols: Annotated[
        str,
        Text(_Symbols, "must be * or up to 500 symbols separated by commas"),
        Field(description="`*`, or symbols separated by commas"),
    ]
    cursor: Annotated[
        Annotated[str, Text(Symbol, NOT_A_CURSOR)] | None,
        Field(description="`next_cursor` of the previous answer"),
    ] = None


class TickerRoutes:
    """Answers from the reader's views alone."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def get_ticker(self, symbol: SymbolInPath) -> Response:
        """`GET /stocks/{symbol}/ticker`."""
        views = self._reader.ready_views()
        return json_response(200, ticker(views, symbol, self._reader.as_of(symbol)))

    async def get_tickers(self, query: Annotated[TickersQuery, Query()]) -> Response:
        """`GET /tickers`."""
        views, limit = self._reader.ready_views(), query.limit
        if query.symbols == EVERY:
            found = views.symbols_after(query.cursor or "")
        else:
            named = sorted(set(query.symbols.split(",")))
            found = iter(named[bisect_right(named, query.cursor or "") :])
        symbols = list(islice(found, limit + 1))
        page = [ticker(views, each, self._reader.as_of(each)) for each in symbols[:limit]]
        cursor = symbols[limit - 1] if len(symbols) > limit else None
        return json_response(200, TickersResource(page, cursor))

    def router(self) -> ServiceRouter:
        """The calls, for the gateway and the document."""
        return ServiceRouter(
            [
                Route(
                    method="GET",
                    path="/stocks/{symbol}/ticker",
                    handler=self.get_ticker,
                    who="market",
                    summary="Newest and best prices of a symbol, and its last 24 hours",
                    answers={200: TickerResource},
                    problems=("invalid", "not_accepted"),
                    strict_query=True,
                ),
                Route(
                    method="GET",
                    path="/tickers",
                    handler=self.get_tickers,
                    who="market",
                    summary="The tickers of several symbols, by symbol",
                    answers={200: TickersResource},
                    problems=("invalid", "not_accepted"),
                    strict_query=True,
                ),
            ]
        )
