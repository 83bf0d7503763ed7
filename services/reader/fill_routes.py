"""Query of a broker's fills, served by FastAPI."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Protocol

from fastapi import Query
from pydantic import Field

from schemas.queries import FillId, FillResource, FillsResource
from schemas.units import OrderId
from services.api.framework import Caller, ServiceRouter
from services.api.messages import Response, Route, json_response
from services.api.query import Text
from services.reader.app import Reader
from services.reader.errors import ArchiveBehindError, OrderStateUnknownError
from services.reader.list_archive import StoredFills
from services.reader.overlay import Page, Span, page
from services.reader.parameters import ATTEMPTS, NOT_A_CURSOR, OwnQuery, unreadable


class FillLists(Protocol):
    """The queries to PostgreSQL; all raise ArchiveUnavailableError."""

    async def fills(self, broker_id: str, order_id: str | None, span: Span) -> StoredFills:
        """A broker's stored fills."""


class FillQuery(OwnQuery):
    """The parameters of `GET /fills`."""

    order_id: Annotated[
        Annotated[str, Text(OrderId, "must be the id of an order")] | None,
        Field(description="Only fills of this order"),
    ] = None
    after: Annotated[
        Annotated[str, Text(FillId, "must be the id of a fill")] | None,
        Field(description="Only fills that are newer than this one"),
    ] = None
    cursor: Annotated[
        Annotated[str, Text(FillId, NOT_A_CURSOR)] | None,
        Field(description="`next_cursor` of the previous answer"),
    ] = None

    def span(self) -> Span:
        """The keys of the page."""
        scan = self.scan(filtered=self.symbol is not None)
        if self.sort == "newest":
            return Span(self.after, self.cursor, newest_first=True, scan=scan)
        # The cursor of a later page is beyond `after`.
        return Span(self.cursor or self.after, None, newest_first=False, scan=scan)

    def wants(self, fill: FillResource) -> bool:
        """True if the filters let the fill through."""
        return self.symbol in (None, fill.symbol) and self.order_id in (None, fill.order_id)


class FillRoutes:
    """Answers from PostgreSQL, and from the reader's views for records not stored yet."""

    def __init__(self, reader: Reader, archive: FillLists) -> None:
        self._reader = reader
        self._archive = archive

    async def get_fills(self, broker: Caller, query: Annotated[FillQuery, Query()]) -> Response:
        """`GET /fills`."""
        try:
            found = await self._fills(broker.broker_id, query)
        except OrderStateUnknownError as error:
            raise unreadable() from error
        return json_response(200, FillsResource(found.entries, found.next_key))

    async def _fills(self, broker_id: str, query: FillQuery) -> Page[FillResource]:
        span, tape = query.span(), self._reader.ready_views().tape
        for _ in range(ATTEMPTS):
            answer = await self._archive.fills(broker_id, query.order_id, span)
            if self._reader.covers(answer.positions):
                # A database of another log has no positions.
                stored = answer.fills if answer.positions else []
                return page(
                    span,
                    [(fill.fill_id, fill) for fill in stored],
                    lambda part: _within(part, tape.fills(broker_id)),
                    query.wants,
                    query.limit,
                )
        raise ArchiveBehindError("PostgreSQL lacks trades that it had before")

    def router(self) -> ServiceRouter:
        """The calls, for the gateway and the document."""
        return ServiceRouter(
            [
                Route(
                    method="GET",
                    path="/fills",
                    handler=self.get_fills,
                    who="broker",
                    summary="Your sides of trades, newest first",
                    answers={200: FillsResource},
                    problems=("invalid", "not_accepted"),
                    strict_query=True,
                ),
            ]
        )


def _within(span: Span, fills: Iterable[FillResource]) -> Iterator[tuple[str, FillResource]]:
    return ((fill.fill_id, fill) for fill in fills if span.contains(fill.fill_id))
