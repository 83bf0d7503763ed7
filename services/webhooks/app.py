"""The webhooks' part of the API: what was delivered, and what shall be sent again. For the gateway;
the sender itself speaks to no broker but by webhooks."""

import re
import secrets
import time
from typing import Final, cast, get_args

from schemas import ids
from schemas.rest import FieldFault
from schemas.webhooks import (
    DELIVERY_ID,
    DeliveriesResource,
    DeliveryResource,
    DeliveryStatus,
    Kind,
)
from services.api.app import (
    Parameter,
    ProblemError,
    Request,
    Response,
    Route,
    json_response,
    not_accepted,
)
from services.api.query import count_parameter, read_count
from services.runtime.postgres.pool import PostgresUnavailableError
from services.webhooks.deliveries import Deliveries, Key

LIMIT_DEFAULT = 50
LIMIT_MAX = 200

_STATUSES: Final = get_args(DeliveryStatus)
_DELIVERY_ID: Final = re.compile(DELIVERY_ID)
_AWAY = "The deliveries cannot be reached now."
_RANDOM_BITS = 62


class WebhookRoutes:
    """`routes` answer from PostgreSQL; while it is away with 503."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def get_deliveries(self, request: Request) -> Response:
        """`GET /webhooks/deliveries`."""
        limit, before, status = _asked(request)
        broker_id = request.broker.broker_id
        try:
            # One more than asked for tells whether there are more.
            found = await self._deliveries.newest(broker_id, limit + 1, before, status)
        except PostgresUnavailableError as error:
            raise not_accepted(_AWAY) from error
        more = len(found) > limit
        page = found[:limit]
        return json_response(200, DeliveriesResource(page, page[-1].id if more else None))

    async def post_test(self, request: Request) -> Response:
        """`POST /webhooks/test`."""
        _require_no_body(request)
        broker = request.broker
        if broker.webhook_url is None:
            raise ProblemError(404, "not_found", "this broker was registered without a webhook_url")
        # Made like an order's id: it begins with the time, as the ids of trades do.
        now_ms = time.time_ns() // 1_000_000
        event_id = ids.order_id(now_ms, 0, secrets.randbits(_RANDOM_BITS))
        try:
            queued = await self._deliveries.queue_test(broker.broker_id, event_id)
        except PostgresUnavailableError as error:
            raise not_accepted(_AWAY) from error
        if queued is None:
            raise not_accepted(_AWAY)
        return json_response(201, queued)

    async def post_replay(self, request: Request) -> Response:
        """`POST /webhooks/deliveries/{delivery_id}/replay`."""
        _require_no_body(request)
        key = _key(request.parameters["delivery_id"])
        try:
            replayed = key and await self._deliveries.replay(request.broker.broker_id, key)
        except PostgresUnavailableError as error:
            raise not_accepted(_AWAY) from error
        if not replayed:
            raise ProblemError(404, "not_found", "no such delivery of yours")
        return json_response(200, replayed)

    def routes(self) -> list[Route]:
        """The routes, as the gateway and the documentation want them."""
        asking = ((404, "not_found"), (422, "invalid"), (503, "not_accepted"))
        return [
            Route(
                method="GET",
                path="/webhooks/deliveries",
                handler=self.get_deliveries,
                who="broker",
                summary="Your webhooks and how far they have come, newest first",
                answers={200: DeliveriesResource},
                problems=((422, "invalid"), (503, "not_accepted")),
                parameters=(
                    count_parameter("limit", LIMIT_DEFAULT, LIMIT_MAX, "Deliveries in an answer"),
                    Parameter(
                        "cursor",
                        "query",
                        {"type": "string", "pattern": DELIVERY_ID.removesuffix(r"(?!\n)")},
                        "`next_cursor` of the answer before",
                    ),
                    Parameter(
                        "status",
                        "query",
                        {"type": "string", "enum": list(_STATUSES)},
                        "Only deliveries that stand so",
                    ),
                ),
            ),
            Route(
                method="POST",
                path="/webhooks/deliveries/{delivery_id}/replay",
                handler=self.post_replay,
                who="broker",
                summary="Send one of your webhooks again, under the same webhook-id",
                answers={200: DeliveryResource},
                problems=asking,
            ),
            Route(
                method="POST",
                path="/webhooks/test",
                handler=self.post_test,
                who="broker",
                summary="Send a webhook that tells of nothing, to see it arrive",
                answers={201: DeliveryResource},
                problems=asking,
            ),
        ]


def _asked(request: Request) -> tuple[int, Key | None, DeliveryStatus | None]:
    """Every fault is told at once."""
    faults = []
    query = request.query
    limit = read_count(query.get("limit", str(LIMIT_DEFAULT)), LIMIT_MAX)
    if limit is None:
        faults.append(FieldFault("/limit", f"a whole number from 1 to {LIMIT_MAX}"))
    cursor = query.get("cursor")
    before = None if cursor is None else _key(cursor)
    if cursor is not None and before is None:
        faults.append(FieldFault("/cursor", "the next_cursor of an answer"))
    status = query.get("status")
    if status is not None and status not in _STATUSES:
        faults.append(FieldFault("/status", f"one of {', '.join(_STATUSES)}"))
    if limit is None or faults:
        raise ProblemError(422, "invalid", "The request is not acceptable.", errors=faults)
    return limit, before, cast("DeliveryStatus | None", status)


def _key(delivery_id: str) -> Key | None:
    if _DELIVERY_ID.match(delivery_id) is None:
        return None
    event_id, _, kind = delivery_id.rpartition("-")
    return event_id, cast("Kind", kind)


def _require_no_body(request: Request) -> None:
    if request.body not in (b"", b"{}"):
        fault = FieldFault("", "this call takes no fields")
        raise ProblemError(422, "invalid", "The request is not acceptable.", errors=[fault])
