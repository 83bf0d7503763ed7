"""Looks up orders of a call whose outcome is known; 404 for an order that does not exist."""

import asyncio
from collections.abc import Callable

import msgspec

from schemas import ids
from schemas.rest import OrderResource
from schemas.units import OrderId
from services.api.app import Request, not_accepted
from services.api.messages import order_not_found
from services.ingest.context import IngestContext
from services.ingest.lookup import LookupUnavailableError

# How long a reader in another process may lag behind the outcome that this process received.
SETTLE_S = 1.0
_SETTLE_STEP_S = 0.05


def known(order: OrderResource | None) -> OrderResource:
    """The order. Raises ProblemError order_not_found for None."""
    if order is None:
        raise order_not_found()
    return order


def partition_of(request: Request, partitions: int) -> int:
    """The partition of the request's order. Raises ProblemError order_not_found if the
    path has no valid order id."""
    order_id = request.identifier("order_id")
    partition = ids.partition_of(order_id)
    try:
        msgspec.convert(order_id, OrderId)
    except msgspec.ValidationError:
        partition = None
    if partition is None or partition >= partitions:
        raise order_not_found()
    return partition


async def settled(
    context: IngestContext, request: Request, is_settled: Callable[[OrderResource], bool]
) -> OrderResource:
    """The request's order once the reader has what the outcome says. Raises ProblemError."""
    order_id, deadline = request.identifier("order_id"), context.loop.time() + SETTLE_S
    try:
        while context.loop.time() < deadline:
            order = known(await context.views.lookup(order_id, request))
            if is_settled(order):
                return order
            await asyncio.sleep(_SETTLE_STEP_S)
    except LookupUnavailableError:
        pass
    raise not_accepted("the order is not open, but its final state cannot be read now")
