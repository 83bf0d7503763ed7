"""SQL of the outbox's maintenance. Every statement reads a bounded portion of rows, by key.

A portion begins after the key where the one before ended: rows that were parked or deleted leave
dead index entries, which a statement that began from the first key would walk over each time.
"""

from typing import Any, LiteralString

from msgspec import Struct

from services.webhooks.session import OutboxSession
from services.webhooks.store import FIRST_ID

# Reason of webhooks that are parked because their receiver answered 410.
GONE = "the receiver said that it is gone"
# Rows of one statement: a few milliseconds of work each.
PRUNED_MAX = 500
PARKED_MAX = 1_000
# Pending rows of a broker that one statement counts, and receivers that one lists.
COUNTED_MAX = 10_000
BROKERS_MAX = 100

_RECEIVERS: LiteralString = """
    SELECT e.broker_id::text, e.disabled_at IS NOT NULL, e.failures > 0,
        e.paused_until <= now() AND e.leased_until <= now() AND e.disabled_at IS NULL
    FROM webhook_endpoints e WHERE e.broker_id > %(after)s
    ORDER BY e.broker_id LIMIT %(brokers)s
"""
_DUE: LiteralString = """
    SELECT EXISTS (
        SELECT FROM webhook_deliveries d WHERE d.broker_id = %(broker_id)s
        AND d.status = 'pending' AND d.next_attempt_at <= now()
    )
"""
_NTH_PENDING: LiteralString = """
    SELECT event_id::text, kind FROM webhook_deliveries d
    WHERE d.broker_id = %(broker_id)s AND d.status = 'pending'
        AND (d.event_id, d.kind) > (%(event_id)s, %(kind)s)
    ORDER BY d.event_id, d.kind OFFSET %(rows)s - 1 LIMIT 1
"""
_REST_PENDING: LiteralString = """
    SELECT count(*) FROM (
        SELECT FROM webhook_deliveries d
        WHERE d.broker_id = %(broker_id)s AND d.status = 'pending'
            AND (d.event_id, d.kind) > (%(event_id)s, %(kind)s) LIMIT %(rows)s
    ) AS rest
"""
# An id begins with its time, so rows that may have waited for `span_s` come first. The portion is
# chosen before the exact time is looked at: a queue of replayed rows is walked through in portions.
_PARK: LiteralString = """
    WITH portion AS (
        SELECT broker_id, event_id, kind, queued_at FROM webhook_deliveries
        WHERE broker_id = %(broker_id)s AND status = 'pending'
            AND (event_id, kind) > (%(event_id)s, %(kind)s)
            AND event_id <= rpad(lpad(to_hex(
                (extract(epoch FROM now() - make_interval(secs => %(span_s)s)) * 1000)::bigint
            ), 12, '0'), 32, 'f')::uuid
            AND (NOT %(only_if_gone)s OR EXISTS (
                SELECT FROM webhook_endpoints e
                WHERE e.broker_id = %(broker_id)s AND e.disabled_at IS NOT NULL
            ))
        ORDER BY event_id, kind LIMIT %(rows)s FOR UPDATE SKIP LOCKED
    ), parked AS (
        UPDATE webhook_deliveries d SET status = 'parked', finished_at = now(),
            last_error = coalesce(
                %(reason)s::text, d.last_error, 'the receiver failed for too long'
            )
        FROM portion p WHERE (d.broker_id, d.event_id, d.kind) = (p.broker_id, p.event_id, p.kind)
            AND p.queued_at <= now() - make_interval(secs => %(span_s)s)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM parked), count(*), max(event_id::text || '-' || kind) FROM portion
"""
# Several senders take different rows: SKIP LOCKED. A row that is replayed meanwhile has no end any
# more, and stays.
_PRUNE: LiteralString = """
    WITH bound AS (
        SELECT now() - make_interval(days => %(days)s) AS ended, rpad(lpad(to_hex(
            (extract(epoch FROM now() - make_interval(days => %(days)s)) * 1000)::bigint
        ), 12, '0'), 32, '0')::uuid AS before
    ), old AS (
        SELECT d.broker_id, d.event_id, d.kind
        FROM bound CROSS JOIN LATERAL (
            SELECT broker_id, event_id, kind FROM webhook_deliveries
            WHERE broker_id = %(broker_id)s AND (event_id, kind) > (%(event_id)s, %(kind)s)
                AND event_id < bound.before AND finished_at < bound.ended
            ORDER BY event_id, kind LIMIT %(rows)s FOR UPDATE SKIP LOCKED
        ) d
    ), gone AS (
        DELETE FROM webhook_deliveries d USING old
        WHERE (d.broker_id, d.event_id, d.kind) = (old.broker_id, old.event_id, old.kind)
        RETURNING d.broker_id, d.event_id, d.kind
    ), counted AS (
        INSERT INTO webhook_pruned AS p (broker_id, before, sides)
        SELECT broker_id, (SELECT before FROM bound), count(*) FILTER (WHERE kind <> 'test')
        FROM gone GROUP BY broker_id
        ON CONFLICT (broker_id) DO UPDATE SET before = greatest(p.before, excluded.before),
            sides = p.sides + excluded.sides
    )
    SELECT count(*), max(event_id::text || '-' || kind) FROM gone
"""


class Key(Struct, frozen=True):
    """Position within a broker's deliveries."""

    event_id: str = FIRST_ID
    kind: str = ""


class ReceiverState(Struct, frozen=True):
    """A receiver. `idle`: neither paused nor gone, and no sender has leased it."""

    broker_id: str
    gone: bool
    failing: bool
    idle: bool


class Portion(Struct, frozen=True):
    """Rows changed by a statement, and the key to continue after; None: there are no more."""

    changed: int
    after: Key | None


class MaintenanceStore(OutboxSession):
    """The statements of `maintenance`."""

    async def receivers(self, after: str | None) -> list[ReceiverState]:
        """At most BROKERS_MAX receivers, by broker id; those after `after`, or the first."""
        rows = await self._execute(
            _RECEIVERS,
            {"after": after or FIRST_ID, "brokers": BROKERS_MAX},
        )
        return [ReceiverState(*row) for row in rows]

    async def due(self, broker_id: str) -> bool:
        """True if a webhook of the broker could be sent now."""
        ((due,),) = await self._execute(_DUE, {"broker_id": broker_id})
        return bool(due)

    async def pending_after(self, broker_id: str, after: Key) -> tuple[int, Key | None]:
        """Count at most COUNTED_MAX pending webhooks, and return the key to count on after."""
        parameters = self._at(broker_id, after, COUNTED_MAX)
        found = await self._execute(_NTH_PENDING, parameters)
        if found:
            return COUNTED_MAX, Key(*found[0])
        ((rest,),) = await self._execute(_REST_PENDING, parameters)
        return int(rest), None

    async def park(
        self, broker_id: str, after: Key, span_s: float, reason: str | None, rows: int = PARKED_MAX
    ) -> Portion:
        """Park pending webhooks that were queued before `span_s`. Without a `reason` they keep
        that of their last attempt. GONE parks nothing if a replay has opened the receiver since it
        was listed."""
        parameters = self._at(broker_id, after, rows) | {
            "span_s": span_s,
            "reason": reason,
            "only_if_gone": reason == GONE,
        }
        ((changed, seen, last),) = await self._execute(_PARK, parameters)
        return Portion(changed, _key(last) if seen == rows else None)

    async def prune(self, broker_id: str, after: Key, days: int, rows: int = PRUNED_MAX) -> Portion:
        """Delete webhooks whose trade and end are older than `days`, and count them."""
        parameters = self._at(broker_id, after, rows) | {"days": days}
        ((changed, last),) = await self._execute(_PRUNE, parameters)
        return Portion(changed, _key(last) if changed == rows else None)

    def _at(self, broker_id: str, after: Key, rows: int) -> dict[str, Any]:
        return {
            "broker_id": broker_id,
            "event_id": after.event_id,
            "kind": after.kind,
            "rows": rows,
        }


def _key(text: str) -> Key:
    event_id, _, kind = text.rpartition("-")
    return Key(event_id, kind)
