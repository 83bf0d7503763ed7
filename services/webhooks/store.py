"""The sender's SQL. It claims receivers, not webhooks, so that the webhooks of a receiver are sent
in order, by one sender at a time.

A lease is void when its time is over, and at once when its session has ended, so a killed sender
loses nothing and blocks nothing. The result of an attempt counts once, by the number of attempts
before it. Commits need not reach the disk: what a crash of PostgreSQL loses is sent once more.
Bodies are not stored, since the trade is: `_CLAIM` joins it again for each attempt. `trades` never
changes, so every attempt has the same bytes, and the outbox rows stay small.
"""

from collections.abc import Sequence
from typing import Any, LiteralString

import msgspec
from psycopg import AsyncConnection

from schemas.brokers import WebhookSecret
from schemas.codec import encode
from schemas.units import rfc3339
from schemas.webhooks import TradeExecuted, WebhookTest
from services.runtime.errors import UnavailableError
from services.runtime.postgres.connection import connect_async
from services.runtime.postgres.watchdog import LastResponse, Watchdog, cut
from services.webhooks.outbox import Attempted, ClaimedReceiver, Ended, WebhookDelivery

CHANNEL: LiteralString = "exchange_webhooks"
# No statement takes so long unless the server is stuck; a longer silence means it is gone.
_STATEMENT_TIMEOUT_MS = 15_000
SILENCE_S_MAX = 20.0
# Receivers per claim, and webhooks of each: bounds of a run's length and of memory.
RECEIVERS_MAX = 200
DELIVERIES_MAX = 50
LEASE_S = 30.0
# Rows deleted in one statement: a few milliseconds of work.
PRUNED_MAX = 500
# Queues change faster than PostgreSQL's statistics, so every plan but look-ups is switched off.
SESSION = {
    "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
    "jit": "off",
    "synchronous_commit": "off",
    "plan_cache_mode": "force_custom_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
}

_CLAIM: LiteralString = """
    WITH due AS (
        SELECT e.broker_id FROM webhook_endpoints e
        WHERE e.paused_until <= now() AND e.disabled_at IS NULL
            AND NOT e.broker_id = ANY(%(busy)s::uuid[])
            AND (e.leased_until <= now() OR NOT EXISTS (
                SELECT FROM pg_stat_activity s WHERE s.pid = e.lease_pid
                AND coalesce(s.backend_start = e.lease_started, true)
            ))
            AND EXISTS (
                SELECT FROM webhook_deliveries d WHERE d.broker_id = e.broker_id
                AND d.status = 'pending' AND d.next_attempt_at <= now()
            )
        LIMIT %(receivers)s FOR UPDATE OF e SKIP LOCKED
    ), claimed AS (
        UPDATE webhook_endpoints e SET lease_pid = %(pid)s, lease_started = %(started)s,
            leased_until = now() + make_interval(secs => %(lease_s)s)
        FROM due WHERE e.broker_id = due.broker_id
        RETURNING e.broker_id, e.url, e.secrets, e.failures
    )
    SELECT c.broker_id::text, c.url, c.secrets::text, c.failures,
        d.event_id::text, d.kind, d.attempts, d.order_remaining_quantity,
        (CASE d.kind WHEN 'bid' THEN t.buy_order_id WHEN 'ask' THEN t.sell_order_id END)::text,
        t.symbol, t.price, t.quantity, (extract(epoch FROM t.executed_at) * 1000)::bigint
    FROM claimed c CROSS JOIN LATERAL (
        SELECT * FROM webhook_deliveries d WHERE d.broker_id = c.broker_id
            AND d.status = 'pending' AND d.next_attempt_at <= now()
        ORDER BY d.event_id, d.kind LIMIT %(deliveries)s
    ) d LEFT JOIN trades t ON t.id = d.event_id AND d.kind <> 'test'
    ORDER BY c.broker_id, d.event_id, d.kind
"""
_ATTEMPTED: LiteralString = """
    UPDATE webhook_deliveries d SET attempts = d.attempts + 1, status = r.status,
        next_attempt_at = now() + make_interval(secs => r.delay_s),
        finished_at = CASE WHEN r.status <> 'pending' THEN now() END,
        last_status = r.answered, last_error = r.error
    FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::integer[], %s::text[], %s::float8[],
        %s::integer[], %s::text[])
        AS r (broker_id, event_id, kind, attempts, status, delay_s, answered, error)
    WHERE (d.broker_id, d.event_id, d.kind) = (r.broker_id, r.event_id, r.kind)
        AND d.attempts = r.attempts AND d.status = 'pending'
"""
_ENDED: LiteralString = """
    UPDATE webhook_endpoints e SET failures = r.failures, leased_until = '-infinity',
        paused_until = now() + make_interval(secs => r.pause_s),
        disabled_at = CASE WHEN r.gone THEN now() END
    FROM unnest(%s::uuid[], %s::integer[], %s::float8[], %s::boolean[])
        AS r (broker_id, failures, pause_s, gone)
    WHERE e.broker_id = r.broker_id AND (e.lease_pid, e.lease_started) = (%s, %s)
"""
_PARK: LiteralString = """
    UPDATE webhook_deliveries d SET status = 'parked', finished_at = now(),
        last_error = CASE WHEN e.disabled_at IS NULL
            THEN coalesce(d.last_error, 'the receiver failed for too long')
            ELSE 'the receiver said that it is gone' END
    FROM webhook_endpoints e
    WHERE d.broker_id = e.broker_id AND d.status = 'pending' AND (
        e.disabled_at IS NOT NULL
        OR e.failures > 0 AND d.queued_at < now() - make_interval(secs => %s)
    )
"""
# Several senders take different rows: SKIP LOCKED. A row that is replayed meanwhile has no end any
# more, and stays. Brokers in order, so that two statements never deadlock.
_PRUNE: LiteralString = """
    WITH bound AS (
        SELECT now() - make_interval(days => %(days)s) AS ended, rpad(lpad(to_hex(
            (extract(epoch FROM now() - make_interval(days => %(days)s)) * 1000)::bigint
        ), 12, '0'), 32, '0')::uuid AS before
    ), old AS (
        SELECT d.broker_id, d.event_id, d.kind
        FROM bound CROSS JOIN webhook_endpoints e CROSS JOIN LATERAL (
            SELECT broker_id, event_id, kind FROM webhook_deliveries
            WHERE broker_id = e.broker_id AND event_id < bound.before
                AND finished_at < bound.ended
            ORDER BY event_id, kind LIMIT %(rows)s FOR UPDATE SKIP LOCKED
        ) d LIMIT %(rows)s
    ), gone AS (
        DELETE FROM webhook_deliveries d USING old
        WHERE (d.broker_id, d.event_id, d.kind) = (old.broker_id, old.event_id, old.kind)
        RETURNING d.broker_id, d.kind
    ), counted AS (
        INSERT INTO webhook_pruned AS p (broker_id, before, sides)
        SELECT broker_id, (SELECT before FROM bound), count(*) FILTER (WHERE kind <> 'test')
        FROM gone GROUP BY broker_id ORDER BY broker_id
        ON CONFLICT (broker_id) DO UPDATE SET before = greatest(p.before, excluded.before),
            sides = p.sides + excluded.sides
    )
    SELECT count(*) FROM gone
"""
_STATUS = {"delivered": "delivered", "retry": "pending", "parked": "parked", "gone": "parked"}

_secrets = msgspec.json.Decoder(tuple[WebhookSecret, ...])


class WebhookStore:
    """One connection with one caller at a time. After a psycopg.Error, open another."""

    def __init__(self, connection: AsyncConnection, silence_s_max: float) -> None:
        self._connection = connection
        self._last_response = LastResponse(silence_s_max)
        self._watchdog = Watchdog(self._last_response, lambda: cut(connection))
        self._session: dict[str, Any] = {}

    @classmethod
    async def open(cls, database_url: str, silence_s_max: float = SILENCE_S_MAX) -> "WebhookStore":
        """Connect. Call `begin` before anything else."""
        return cls(await connect_async(database_url, SESSION), silence_s_max)

    async def begin(self) -> None:
        """Check the tables. Raises UnavailableError if the database has no outbox."""
        ((outbox, pid, started),) = await self._execute(
            "SELECT to_regclass('quarantine'), pid, backend_start"
            " FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        )
        if outbox is None:
            raise UnavailableError(
                "the database has no outbox of this version; run: python -m services.sink --migrate"
            )
        self._session = {"pid": pid, "started": started}

    async def close(self) -> None:
        """Close the connection, which ends every lease of its session."""
        self._watchdog.close()
        await self._connection.close()

    def cut(self) -> None:
        """Abort, from another thread, a call that waits for a silent server."""
        cut(self._connection)

    async def _execute(self, query: LiteralString, parameters: Any = None) -> list[Any]:
        with self._last_response.asking():
            cursor = await self._connection.execute(query, parameters)
            return await cursor.fetchall() if cursor.description else []

    async def claim(self, busy: Sequence[str]) -> list[ClaimedReceiver]:
        """Lease receivers with a webhook due that no sender has leased; not those of `busy`."""
        rows = await self._execute(
            _CLAIM,
            {
                "busy": list(busy),
                "receivers": RECEIVERS_MAX,
                "deliveries": DELIVERIES_MAX,
                "lease_s": LEASE_S,
                **self._session,
            },
        )
        found: dict[str, list[Any]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(row)
        return [
            ClaimedReceiver(
                broker_id=broker_id,
                url=of_one[0][1],
                secrets=_secrets.decode(of_one[0][2]),
                failures=of_one[0][3],
                deliveries=tuple(_delivery(row[4:]) for row in of_one),
            )
            for broker_id, of_one in found.items()
        ]

    async def record(self, attempted: Sequence[Attempted], ended: Sequence[Ended]) -> None:
        """Store results, all or none. Safe to repeat: each attempt counts once."""
        with self._last_response.asking():
            async with self._connection.transaction():
                if attempted:
                    await self._execute(_ATTEMPTED, _columns(map(_attempt_row, attempted)))
                if ended:
                    rows = ((e.broker_id, e.failures, float(e.pause_s), e.gone) for e in ended)
                    await self._execute(_ENDED, [*_columns(rows), *self._session.values()])

    async def park(self, span_s: float) -> None:
        """Park webhooks of receivers that are gone or have failed for too long."""
        await self._execute(_PARK, [span_s])

    async def prune(self, keep_days: int) -> int:
        """Delete rows that ended long ago and return their number; below PRUNED_MAX none are
        left."""
        rows = await self._execute(_PRUNE, {"days": keep_days, "rows": PRUNED_MAX})
        return int(rows[0][0])

    async def pending(self) -> int:
        """Number of pending webhooks."""
        rows = await self._execute(
            "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'"
        )
        return int(rows[0][0])


def _columns(rows: Any) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _attempt_row(done: Attempted) -> tuple[Any, ...]:
    return (
        done.broker_id,
        done.delivery.event_id,
        done.delivery.kind,
        done.delivery.attempts,
        _STATUS[done.result],
        float(done.delay_s),
        done.answer.status,
        done.answer.error,
    )


def _delivery(row: Sequence[Any]) -> WebhookDelivery:
    event_id, kind, attempts, left, order_id, symbol, price, quantity, executed_ms = row
    if kind == "test":
        return WebhookDelivery(event_id, kind, attempts, encode(WebhookTest(event_id)), None)
    body = TradeExecuted(
        trade_id=event_id,
        order_id=order_id,
        symbol=symbol,
        side=kind,
        price=price,
        quantity=quantity,
        order_remaining_quantity=left,
        executed_at=rfc3339(executed_ms),
    )
    return WebhookDelivery(event_id, kind, attempts, encode(body), executed_ms)
