"""Query of a broker's orders, served by FastAPI."""

from collections.abc import Iterable
from typing import Annotated, Literal, Protocol

from fastapi import Query
from pydantic import Field

from schemas.orders import OrderRecord
from schemas.queries import OrdersResource
from schemas.units import ClientOrderId, OrderId
from services.api.framework import Caller, ServiceRouter
from services.api.messages import Response, Route, json_response
from services.api.partition_map import PartitionMap
from services.api.query import Moment, Text
from services.reader.app import Reader
from services.reader.errors import ArchiveBehindError, OrderStateUnknownError
from services.reader.list_archive import StoredOrders
from services.reader.overlay import Page, Span, first_page, page
from services.reader.parameters import ATTEMPTS, NOT_A_CURSOR, OwnQuery, unreadable

_TIME_BITS = 48


class OrderLists(Protocol):
    """The queries to PostgreSQL; all raise ArchiveUnavailableError."""

    async def orders(self, broker_id: str, client_order_id: str | None, span: Span) -> StoredOrders:
        """A broker's stored orders."""


class OrderQuery(OwnQuery):
    """The parameters of `GET /orders`."""

    status: Annotated[
        Literal["open", "closed"] | None, Field(description="Only orders in this state")
    ] = None
    side: Annotated[Literal["bid", "ask"] | None, Field(description="Only orders of this side")] = (
        None
    )
    client_order_id: Annotated[
        Annotated[str, Text(ClientOrderId, "must be 1 to 64 of A-Z, a-z, 0-9, . _ : and -")] | None,
        Field(description="Only orders with this client order id"),
    ] = None
    start: Annotated[
        Annotated[int, Moment()] | None,
        Field(alias="from", description="Only orders sent at this instant or later"),
    ] = None
    end: Annotated[
        Annotated[int, Moment()] | None,
        Field(alias="to", description="Only orders sent before this instant"),
    ] = None
    cursor: Annotated[
        Annotated[str, Text(OrderId, NOT_A_CURSOR)] | None,
        Field(description="`next_cursor` of the previous answer"),
    ] = None

    def span(self) -> Span:
        """The ids of the page. An id begins with the time at which the gateway made it."""
        after = None if self.start is None else _first_id(self.start)
        before = None if self.end is None else _first_id(self.end)
        if self.cursor is not None:
            if self.sort == "newest":
                before = min(self.cursor, before or self.cursor)
            else:
                after = max(self.cursor, after or self.cursor)
        filtered = self.client_order_id is None and (self.symbol, self.side) != (None, None)
        return Span(after, before, self.sort == "newest", self.scan(filtered=filtered))

    def wants(self, order: OrderRecord) -> bool:
        """True if the filters let the order through."""
        status = "open" if order.closed_reason is None else "closed"
        return (
            self.status in (None, status)
            and self.symbol in (None, order.symbol)
            and self.side in (None, order.side)
            and self.client_order_id in (None, order.client_order_id)
        )


class OrderRoutes:
    """Open orders are all in the views; others come from PostgreSQL and the views."""

    def __init__(self, reader: Reader, partition_map: PartitionMap, archive: OrderLists) -> None:
        self._reader = reader
        self._partition_map = partition_map
        self._archive = archive

    async def get_orders(self, broker: Caller, query: Annotated[OrderQuery, Query()]) -> Response:
        """`GET /orders`."""
        try:
            found = await self._complete(broker.broker_id, query)
        except OrderStateUnknownError as error:
            raise unreadable() from error
        orders = [order.summary() for order in found.entries]
        return json_response(200, OrdersResource(orders, found.next_key))

    def named_at_hand(
        self, broker_id: str, symbol: str, client_order_id: str
    ) -> OrderRecord | None:
        """The broker's newest order in memory of a symbol with this client order id."""
        return self._reader.ready_views().named(broker_id, symbol, client_order_id)

    async def named(self, broker_id: str, symbol: str, client_order_id: str) -> OrderRecord | None:
        """The first order that `GET /orders` of a symbol and client order id answers. Raises
        ProblemError (503)."""
        query = OrderQuery(symbol=symbol, client_order_id=client_order_id)
        try:
            found = await self._complete(broker_id, query)
        except OrderStateUnknownError as error:
            raise unreadable() from error
        return found.entries[0] if found.entries else None

    async def _complete(self, broker_id: str, query: OrderQuery) -> Page[OrderRecord]:
        found = await self._found(broker_id, query)
        if query.client_order_id is not None and not found.entries:
            # Its command may be in the log without an outcome so far. An empty answer means
            # that there is none: a program may send the order again.
            for partition in self._partitions(query):
                await self._reader.reach_end(partition)
            found = await self._found(broker_id, query)
        return found

    def _partitions(self, query: OrderQuery) -> Iterable[int]:
        if query.symbol is not None:
            return [self._partition_map.partition(query.symbol)]
        return range(self._partition_map.partitions)

    async def _found(self, broker_id: str, query: OrderQuery) -> Page[OrderRecord]:
        span, views = query.span(), self._reader.ready_views()
        if query.status == "open":
            return first_page(views.orders_of(broker_id, span), query.wants, query.limit)
        for _ in range(ATTEMPTS):
            answer = await self._archive.orders(broker_id, query.client_order_id, span)
            if self._reader.covers(answer.positions):
                # A database of another log has no positions.
                stored = answer.orders if answer.positions else []
                return page(
                    span,
                    [(order.order_id, order) for order in stored],
                    lambda part: views.orders_of(broker_id, part),
                    query.wants,
                    query.limit,
                )
        raise ArchiveBehindError("PostgreSQL lacks orders that it had before")

    def router(self) -> ServiceRouter:
        """The calls, for the gateway and the document."""
        return ServiceRouter(
            [
                Route(
                    method="GET",
                    path="/orders",
                    handler=self.get_orders,
                    who="broker",
                    summary="Your orders in their present state, newest first",
                    answers={200: OrdersResource},
                    problems=("invalid", "not_accepted"),
                    strict_query=True,
                ),
            ]
        )


def _first_id(time_ms: int) -> str:
    time = f"{min(max(time_ms, 0), (1 << _TIME_BITS) - 1):012x}"
    return f"{time[:8]}-{time[8:]}-0000-0000-000000000000"
