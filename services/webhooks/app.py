"""The webhook calls of the API: list deliveries, replay one, send a test. Served by the gateway."""

import re
import secrets
from typing import Annotated, Final, cast

from fastapi import Query
from pydantic import AfterValidator, WithJsonSchema

from schemas import ids
from schemas.webhooks import (
    DELIVERY_ID,
    DeliveriesResource,
    DeliveryResource,
    DeliveryStatus,
    Kind,
)
from services.api.app import (
    ProblemError,
    Response,
    Route,
    json_response,
    not_accepted,
)
from services.api.body import require_no_fields
from services.api.framework import Body, Caller, ServiceRouter
from services.api.query import Count
from services.runtime.clock import now_ms
from services.runtime.postgres.pool import PostgresUnavailableError
from services.webhooks.deliveries import TESTS_PENDING_MAX, Deliveries, Key

LIMIT_DEFAULT = 50
LIMIT_MAX = 200

_DELIVERY_ID: Final = re.compile(DELIVERY_ID)
_AWAY = "the deliveries are not available now"
_RANDOM_BITS = 62
# A receiver that answers takes them within seconds; one that does not is tried for days.
_TESTS_RETRY_S = 10
_FINDING = ("malformed_json", "not_found", "invalid", "not_accepted")


def _checked_cursor(text: str) -> str:
    if _DELIVERY_ID.match(text) is None:
        raise ValueError("must be the next_cursor of an answer")
    return text


Cursor = Annotated[
    Annotated[str, AfterValidator(_checked_cursor)] | None,
    WithJsonSchema({"type": "string", "pattern": DELIVERY_ID.removesuffix(r"(?!\n)")}),
    Query(description="`next_cursor` of the previous answer"),
]


class WebhookRoutes:
    """Answers from PostgreSQL; 503 while it is unavailable."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def get_deliveries(
        self,
        broker: Caller,
        limit: Annotated[
            int, Count(LIMIT_MAX), Query(description="Most deliveries in an answer")
        ] = (LIMIT_DEFAULT),
        cursor: Cursor = None,
        status: Annotated[
            DeliveryStatus | None, Query(description="Only deliveries in this state")
        ] = None,
    ) -> Response:
        """`GET /webhooks/deliveries`."""
        before = None if cursor is None else _key(cursor)
        broker_id = broker.broker_id
        try:
            # One more than requested shows whether another page follows.
            found = await self._deliveries.newest(broker_id, limit + 1, before, status)
        except PostgresUnavailableError as error:
            raise not_accepted(_AWAY) from error
        more = len(found) > limit
        page = found[:limit]
        return json_response(200, DeliveriesResource(page, page[-1].id if more else None))

    async def post_test(self, broker: Caller, body: Body) -> Response:
        """`POST /webhooks/test`."""
        require_no_fields(body)
        if broker.webhook_url is None:
            raise ProblemError("not_found", "this broker was registered without a webhook_url")
        # Built like an order id, which begins with the time, as the ids of trades do.
        event_id = ids.order_id(now_ms(), 0, secrets.randbits(_RANDOM_BITS))
        try:
            queued = await self._deliveries.queue_test(broker.broker_id, event_id)
        except PostgresUnavailableError as error:
            raise not_accepted(_AWAY) from error
        if queued is None:
            raise ProblemError(
                "rate_limited",
                f"{TESTS_PENDING_MAX} tests wait to be delivered already; nothing was written",
                headers=(("Retry-After", str(_TESTS_RETRY_S)),),
            )
        return json_response(201, queued)

    async def post_replay(self, broker: Caller, body: Body, delivery_id: str) -> Response:
        """`POST /webhooks/deliveries/{delivery_id}/replay`."""
        require_no_fields(body)
        key = _key(delivery_id)
        try:
            replayed = key and await self._deliveries.replay(broker.broker_id, key)
        except PostgresUnavailableError as error:
            raise not_accepted(_AWAY) from error
        if not replayed:
            raise ProblemError("not_found", "this broker has no delivery with this id")
        return json_response(200, replayed)

    def router(self) -> ServiceRouter:
        """The calls, for the gateway and the document."""
        return ServiceRouter(
            [
                Route(
                    method="GET",
                    path="/webhooks/deliveries",
                    handler=self.get_deliveries,
                    who="broker",
                    summary="List your webhook deliveries and their state, newest first",
                    answers={200: DeliveriesResource},
                    problems=("invalid", "not_accepted"),
                ),
                Route(
                    method="POST",
                    path="/webhooks/deliveries/{delivery_id}/replay",
                    handler=self.post_replay,
                    who="broker",
                    summary="Send one of your webhooks again with the same webhook-id",
                    answers={200: DeliveryResource},
                    problems=_FINDING,
                    budget="webhooks",
                ),
                Route(
                    method="POST",
                    path="/webhooks/test",
                    handler=self.post_test,
                    who="broker",
                    summary="Send a test webhook that contains no trade",
                    answers={201: DeliveryResource},
                    problems=_FINDING,
                    budget="webhooks",
                ),
            ]
        )


def _key(delivery_id: str) -> Key | None:
    # RFC 9562 4: hexadecimal digits may arrive in capitals.
    delivery_id = delivery_id.lower()
    if _DELIVERY_ID.match(delivery_id) is None:
        return None
    event_id, _, kind = delivery_id.rpartition("-")
    return event_id, cast("Kind", kind)
