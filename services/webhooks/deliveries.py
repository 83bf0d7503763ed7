"""The outbox as brokers see it: list, test and replay deliveries. SQL for `app`.

Every query but `counts` is restricted to the calling broker.
"""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import AsyncConnection

from schemas.operations import WebhooksState
from schemas.units import rfc3339
from schemas.webhooks import DeliveryResource, DeliveryStatus, Kind, delivery_id
from services.runtime.postgres.pool import PostgresPool

_SELECT: LiteralString = """
    SELECT event_id::text, kind, status, attempts,
        (extract(epoch FROM queued_at) * 1000)::bigint,
        (extract(epoch FROM next_attempt_at) * 1000)::bigint,
        (extract(epoch FROM finished_at) * 1000)::bigint, last_status, last_error
    FROM webhook_deliveries d WHERE broker_id = %s
"""
_OF_KEY: LiteralString = " AND (event_id, kind) = (%s, %s)"
_BEFORE_KEY: LiteralString = " AND (event_id, kind) < (%s, %s)"
# As literals, because only these let PostgreSQL choose a partial index.
_OF_STATUS: dict[DeliveryStatus, LiteralString] = {
    "pending": " AND status = 'pending'",
    "delivered": " AND status = 'delivered'",
    "parked": " AND status = 'parked'",
}
# With the table's name: an unqualified `event_id` would be the column of the result, a text, which
# has no index.
_NEWEST: LiteralString = " ORDER BY d.event_id DESC, d.kind DESC LIMIT %s"
# Nothing is inserted where too many tests wait: a receiver that fails keeps them for days. Two
# inserts at once may pass together, which exceeds the bound by one.
_QUEUE_TEST: LiteralString = """
    INSERT INTO webhook_deliveries (broker_id, event_id, kind)
    SELECT %(broker_id)s::uuid, %(event_id)s::uuid, 'test' WHERE (
        SELECT count(*) FROM webhook_deliveries
        WHERE broker_id = %(broker_id)s AND kind = 'test' AND status = 'pending'
    ) < %(pending_max)s
"""
# A replayed delivery starts with all its attempts left.
_REPLAY: LiteralString = (
    "UPDATE webhook_deliveries SET status = 'pending', attempts = 0, queued_at = now(),"
    " next_attempt_at = now(), finished_at = NULL"
    " WHERE broker_id = %s AND (event_id, kind) = (%s, %s)"
)
# A broker that requests a webhook declares its receiver available again.
_OPEN: LiteralString = (
    "UPDATE webhook_endpoints SET failures = 0, paused_until = '-infinity', disabled_at = NULL"
    " WHERE broker_id = %s AND (failures > 0 OR disabled_at IS NOT NULL)"
)

# Of all brokers. The order is that of the partial indexes, which have no other rows: without it
# PostgreSQL may read the whole table.
_COUNTS: LiteralString = """
    WITH pending AS (
        SELECT queued_at, attempts FROM webhook_deliveries WHERE status = 'pending'
        ORDER BY broker_id, event_id, kind LIMIT %(rows)s
    ), parked AS (
        SELECT FROM webhook_deliveries WHERE status = 'parked'
        ORDER BY broker_id, event_id, kind LIMIT %(rows)s
    )
    SELECT (SELECT count(*) FROM pending),
        (SELECT (extract(epoch FROM min(queued_at)) * 1000)::bigint FROM pending),
        (SELECT count(*) FROM pending WHERE attempts > 0),
        (SELECT count(*) FROM parked)
"""

# Tests of a broker that wait at the same time.
TESTS_PENDING_MAX = 100
# Webhooks of either status that are counted.
COUNTED_MAX = 10_000

# Position of a delivery within its broker's: event and kind.
Key = tuple[str, Kind]


def page_query(status: DeliveryStatus | None, *, after_a_page: bool) -> LiteralString:
    """The query of a page: of one status or of all, the first page or one after a key."""
    query = _SELECT
    if status is not None:
        query += _OF_STATUS[status]
    if after_a_page:
        query += _BEFORE_KEY
    return query + _NEWEST


class Deliveries:
    """Deliveries of brokers, and counts. Every call may raise PostgresUnavailableError."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def newest(
        self, broker_id: str, limit: int, before: Key | None, status: DeliveryStatus | None
    ) -> list[DeliveryResource]:
        """At most `limit` deliveries, newest first; only those before `before`."""
        query = page_query(status, after_a_page=before is not None)
        parameters = [broker_id, *(before or ()), limit]

        async def question(connection: AsyncConnection) -> list[DeliveryResource]:
            rows = await connection.execute(query, parameters)
            return [_resource(row) async for row in rows]

        return await self._pool.ask(question)

    async def counts(self) -> WebhooksState:
        """Webhooks that wait or are parked, of each at most COUNTED_MAX."""

        async def question(connection: AsyncConnection) -> WebhooksState:
            rows = await connection.execute(_COUNTS, {"rows": COUNTED_MAX})
            ((pending, oldest, retried, parked),) = await rows.fetchall()
            since = None if oldest is None else rfc3339(oldest)
            return WebhooksState(pending, since, retried, parked)

        return await self._pool.ask(question)

    async def queue_test(self, broker_id: str, event_id: str) -> DeliveryResource | None:
        """Queue a test webhook. None: TESTS_PENDING_MAX wait already."""
        values = {
            "broker_id": broker_id,
            "event_id": event_id,
            "pending_max": TESTS_PENDING_MAX,
        }
        return await self._asked_for(_QUEUE_TEST, values, broker_id, (event_id, "test"))

    async def replay(self, broker_id: str, key: Key) -> DeliveryResource | None:
        """Queue the delivery again and return it, pending. None: the broker has no such
        delivery."""
        return await self._asked_for(_REPLAY, [broker_id, *key], broker_id, key)

    async def _asked_for(
        self,
        change: LiteralString,
        values: Sequence[object] | Mapping[str, object],
        broker_id: str,
        key: Key,
    ) -> DeliveryResource | None:
        async def question(connection: AsyncConnection) -> DeliveryResource | None:
            # One transaction: a webhook that waits for a closed receiver would be parked at once.
            async with connection.transaction():
                changed = await connection.execute(change, values)
                if not changed.rowcount:
                    return None
                await connection.execute(_OPEN, [broker_id])
                await connection.execute("NOTIFY exchange_webhooks")
            found = await connection.execute(_SELECT + _OF_KEY, [broker_id, *key])
            row = await found.fetchone()
            return None if row is None else _resource(row)

        return await self._pool.ask(question)


def _resource(row: Sequence[Any]) -> DeliveryResource:
    event_id, kind, status, attempts, queued, due, finished, last_status, last_error = row
    return DeliveryResource(
        id=delivery_id(event_id, kind),
        event="test" if kind == "test" else "trade_executed",
        trade_id=None if kind == "test" else event_id,
        status=status,
        attempts=attempts,
        queued_at=rfc3339(queued),
        next_attempt_at=rfc3339(due) if status == "pending" else None,
        finished_at=None if finished is None else rfc3339(finished),
        last_status=last_status,
        last_error=last_error,
    )
