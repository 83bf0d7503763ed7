"""`POST /orders/cancel-all`: 1. send one command to each partition, 2. wait for the outcomes,
3. send another where more orders are open than one command cancels, 4. answer with the ids of the
cancelled orders.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, Final

from fastapi import Query
from msgspec import Struct

from schemas.commands import CancelAll
from schemas.executions import OrdersCancelled
from schemas.rest import CancelAllResult
from schemas.units import Side
from services.api.app import ProblemError, Response, Route, json_response
from services.api.body import require_no_fields
from services.api.framework import Body, Caller, ServiceRouter
from services.api.query import TICKER
from services.ingest.context import Asked, IngestContext
from services.ingest.route_parts import WRITING_PROBLEMS

# Ids in an answer; the count is of all.
IDS_MAX: Final = 1_000
_REQUEST_BYTES: Final = 8
_UNKNOWN: Final = "some orders may be cancelled and others not: send the same request again"


class OrderFilter(Struct, frozen=True):
    """The orders of a broker that a call concerns; None: of every symbol, of both sides."""

    broker_id: str
    symbol: str | None = None
    side: Side | None = None


class CancelAllHandler:
    """Handles cancels of all orders of a broker."""

    def __init__(self, context: IngestContext) -> None:
        self._context = context

    async def cancel_all(
        self,
        broker: Caller,
        body: Body,
        symbol: Annotated[
            Annotated[str, TICKER] | None, Query(description="Only orders of this symbol")
        ] = None,
        side: Annotated[Side | None, Query(description="Only orders of this side")] = None,
    ) -> Response:
        """`POST /orders/cancel-all`."""
        require_no_fields(body)
        return await self.begin(OrderFilter(broker.broker_id, symbol, side))

    def begin(self, which: OrderFilter) -> Coroutine[Any, Any, Response]:
        """Send the commands; the coroutine returns the answer. Raises ProblemError: 503, or 504
        if only some were sent."""
        map_ = self._context.partition_map
        partitions: Sequence[int] = (
            range(map_.partitions) if which.symbol is None else (map_.partition(which.symbol),)
        )
        asked: list[Asked] = []
        for partition in partitions:
            try:
                asked.append(self._ask(partition, which))
            except ProblemError:
                if asked:
                    raise ProblemError("outcome_unknown", _UNKNOWN) from None
                raise
        return self._answer(asked, which)

    def _ask(self, partition: int, which: OrderFilter) -> Asked:
        request = self._context.randomness(_REQUEST_BYTES).hex()
        command = CancelAll(which.broker_id, request, which.symbol, which.side)
        return self._context.ask(partition, command)

    async def _answer(self, asked: Sequence[Asked], which: OrderFilter) -> Response:
        results = await asyncio.gather(
            *(self._cancelled(each, which) for each in asked), return_exceptions=True
        )
        ids: list[str] = []
        pending: list[int] = []
        for each, (cancelled, is_done) in zip(asked, _known(results), strict=True):
            ids += cancelled
            if not is_done:
                pending.append(each.partition)
        result = CancelAllResult(len(ids), ids[:IDS_MAX], pending)
        return json_response(202 if pending else 200, result)

    async def _cancelled(self, asked: Asked, which: OrderFilter) -> tuple[list[str], bool]:
        """The ids of the cancelled orders of a partition; False: its outcome is missing.

        Raises ProblemError: 504 if orders were cancelled before.
        """
        ids: list[str] = []
        try:
            while event := await self._event(asked):
                ids += [each.order_id for each in event.orders]
                if not event.more:
                    return ids, True
                asked = self._ask(asked.partition, which)
        except ProblemError as problem:
            if ids:
                raise ProblemError("outcome_unknown", _UNKNOWN) from problem
            raise
        return ids, False

    async def _event(self, asked: Asked) -> OrdersCancelled | None:
        """The outcome of one command; None: it is missing. Raises ProblemError."""
        outcome = await self._context.outcome_of(asked, _UNKNOWN)
        if outcome is None:
            return None
        if not isinstance(outcome.event, OrdersCancelled):
            raise RuntimeError(f"a cancel of all orders got the outcome {outcome.event!r}")
        return outcome.event

    def router(self) -> ServiceRouter:
        """The call, served by FastAPI."""
        return ServiceRouter(
            [
                Route(
                    method="POST",
                    path="/orders/cancel-all",
                    handler=self.cancel_all,
                    who="broker",
                    summary="Cancel all of your open orders, or those of one symbol or side",
                    answers={200: CancelAllResult, 202: CancelAllResult},
                    problems=WRITING_PROBLEMS,
                    budget="cancels",
                    strict_query=True,
                ),
            ]
        )


def _known(
    results: Sequence[tuple[list[str], bool] | BaseException],
) -> list[tuple[list[str], bool]]:
    """The results. Raises the error of a partition; 504 if others may have cancelled orders."""
    found: list[tuple[list[str], bool]] = []
    for result in results:
        if isinstance(result, ProblemError) and len(results) > 1:
            raise ProblemError("outcome_unknown", _UNKNOWN) from result
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found
