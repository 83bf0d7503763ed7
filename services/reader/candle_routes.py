"""Query of candles, served by FastAPI."""

from typing import Annotated, Literal, Protocol

from fastapi import Query
from pydantic import BaseModel, Field

from schemas.candles import INTERVALS_MS, Candle, Interval, start_of
from schemas.queries import CandlesResource
from schemas.units import TIMESTAMP_MS_MAX, rfc3339
from services.api.framework import ServiceRouter
from services.api.messages import Response, Route, json_response
from services.api.query import Count, Moment, SymbolInPath
from services.reader.app import Reader
from services.reader.candles import filled, resource
from services.reader.errors import ArchiveBehindError, OrderStateUnknownError
from services.reader.hot_parameters import PAGE_DEFAULT
from services.reader.list_archive import CandleSpan, StoredCandles
from services.reader.parameters import ATTEMPTS, unreadable

CANDLES_MAX = 1_000


class CandleLists(Protocol):
    """The query to PostgreSQL; raises ArchiveUnavailableError."""

    async def candles(
        self, partition: int, symbol: str, interval: Interval, span: CandleSpan
    ) -> StoredCandles:
        """A symbol's stored candles."""


class CandleQuery(BaseModel):
    """The parameters of `GET /stocks/{symbol}/candles`."""

    interval: Annotated[Interval, Field(description="Length of a candle")] = "1m"
    start: Annotated[
        Annotated[int, Moment()] | None,
        Field(alias="from", description="Only candles that begin at this instant or later"),
    ] = None
    end: Annotated[
        Annotated[int, Moment()] | None,
        Field(alias="to", description="Only candles that begin before this instant"),
    ] = None
    fill: Annotated[
        Literal["none", "previous"], Field(description="Flat candles where nothing was traded")
    ] = "none"
    limit: Annotated[int, Count(CANDLES_MAX), Field(description="Most candles in an answer")] = (
        PAGE_DEFAULT
    )

    def span(self) -> CandleSpan:
        """The first candles from `from` on, or the newest ones."""
        low = 0 if self.start is None else min(max(self.start, 0), TIMESTAMP_MS_MAX)
        high = TIMESTAMP_MS_MAX if self.end is None else min(max(self.end, 0), TIMESTAMP_MS_MAX)
        return CandleSpan(low, high, newest=self.start is None, limit=self.limit)

    def starts(self, clock: int) -> range:
        """The starts of the span's intervals, up to the one that contains the market's time."""
        length = INTERVALS_MS[self.interval]
        span = self.span()
        last = start_of(max(0, min(clock, span.high - 1)), length)
        first = last - (self.limit - 1) * length if span.newest else -(-span.low // length) * length
        first = max(0, first)
        return range(first, min(last, first + (self.limit - 1) * length) + 1, length)


class CandleRoutes:
    """Answers from PostgreSQL, and from the reader's views for records not stored yet."""

    def __init__(self, reader: Reader, archive: CandleLists) -> None:
        self._reader = reader
        self._archive = archive

    async def get_candles(
        self, symbol: SymbolInPath, query: Annotated[CandleQuery, Query()]
    ) -> Response:
        """`GET /stocks/{symbol}/candles`."""
        views = self._reader.ready_views()
        partition, clock = views.partition(symbol), self._reader.as_of(symbol)
        try:
            found = [] if partition is None else await self._found(partition, symbol, query, clock)
        except OrderStateUnknownError as error:
            raise unreadable() from error
        length = INTERVALS_MS[query.interval]
        page = [resource(candle, length, clock) for candle in found]
        return json_response(200, CandlesResource(symbol, query.interval, page, rfc3339(clock)))

    async def _found(
        self, partition: int, symbol: str, query: CandleQuery, clock: int
    ) -> list[Candle]:
        if query.fill == "none":
            return await self._candles(partition, symbol, query.interval, query.span())
        starts = query.starts(clock)
        if not starts:
            return []
        span = CandleSpan(starts[0], starts[-1] + 1, newest=False, limit=len(starts))
        within = await self._candles(partition, symbol, query.interval, span)
        earlier = CandleSpan(0, starts[0], newest=True, limit=1)
        before = await self._candles(partition, symbol, query.interval, earlier)
        return filled(within, before[0] if before else None, starts)

    async def _candles(
        self, partition: int, symbol: str, interval: Interval, span: CandleSpan
    ) -> list[Candle]:
        candles = self._reader.ready_views().candles
        held = span.of(candles.held(partition, symbol, interval))
        if span.newest and len(held) == span.limit:
            return held
        for _ in range(ATTEMPTS):
            answer = await self._archive.candles(partition, symbol, interval, span)
            if self._reader.covers(answer.positions):
                # A database of another log has no positions.
                stored = answer.candles if answer.positions else []
                by_start = {candle.start: candle for candle in stored}
                # Memory has the newer state of a candle.
                for candle in span.of(candles.held(partition, symbol, interval)):
                    by_start[candle.start] = candle
                return span.of([by_start[start] for start in sorted(by_start)])
        raise ArchiveBehindError("PostgreSQL lacks candles that it had before")

    def router(self) -> ServiceRouter:
        """The calls, for the gateway and the document."""
        return ServiceRouter(
            [
                Route(
                    method="GET",
                    path="/stocks/{symbol}/candles",
                    handler=self.get_candles,
                    who="market",
                    summary="Candles of a symbol, oldest first: the newest, or those from one on",
                    answers={200: CandlesResource},
                    problems=("invalid", "not_accepted"),
                    strict_query=True,
                ),
            ]
        )
