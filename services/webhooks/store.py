"""The sender's SQL. It claims receivers, not webhooks, so that the webhooks of a receiver are sent
in order, by one sender at a time.

A lease ends with its time, or earlier with its session, so a killed sender loses nothing and blocks
nothing. The result of an attempt counts once, by the number of attempts before it. Commits need not
reach the disk: a webhook whose result a crash of PostgreSQL loses is sent once more. Bodies are not
stored, because the trade is: `_CLAIM` joins it again for each attempt. `trades` never
changes, so every attempt has the same bytes, and the outbox rows stay small.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

import msgspec
from msgspec import Struct

from schemas.brokers import WebhookSecret
from schemas.codec import encode
from schemas.units import rfc3339
from schemas.webhooks import TradeExecuted, WebhookTest
from services.runtime.errors import UnavailableError
from services.runtime.metrics import QUARANTINED
from services.webhooks.outbox import Attempted, ClaimedReceiver, Ended, WebhookDelivery
from services.webhooks.session import OutboxSession

log = logging.getLogger(__name__)

CHANNEL: LiteralString = "exchange_webhooks"
# Before every id.
FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"
# Receivers per claim, and webhooks of each: bounds of a run's length and of memory.
RECEIVERS_MAX = 200
DELIVERIES_MAX = 50
LEASE_S = 30.0

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
                AND d.event_id >= coalesce(%(floors)s::jsonb ->> e.broker_id::text, %(zero)s)::uuid
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
            AND d.event_id >= coalesce(%(floors)s::jsonb ->> c.broker_id::text, %(zero)s)::uuid
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
_QUARANTINE: LiteralString = """
    WITH unusable AS (
        SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[])
            AS u (broker_id, event_id, kind, reason)
    ), parked AS (
        UPDATE webhook_deliveries d SET status = 'parked', finished_at = now(),
            last_error = u.reason
        FROM unusable u WHERE (d.broker_id, d.event_id, d.kind) = (u.broker_id, u.event_id, u.kind)
            AND d.status = 'pending'
    )
    INSERT INTO quarantine (source, item, reason)
    SELECT CASE WHEN event_id IS NULL THEN 'webhook_endpoints' ELSE 'webhook_deliveries' END,
        concat_ws(' ', broker_id, event_id || '-' || kind), reason
    FROM unusable ON CONFLICT DO NOTHING RETURNING source
"""
_SOURCES = ("webhook_deliveries", "webhook_endpoints")
_STATUS = {"delivered": "delivered", "retry": "pending", "parked": "parked", "gone": "parked"}

_secrets = msgspec.json.Decoder(tuple[WebhookSecret, ...])


class UnusableError(Exception):
    """A webhook that cannot be made from its row."""


class Unusable(Struct, frozen=True):
    """A row that cannot be used, of a delivery, or of a receiver without event and kind."""

    broker_id: str
    event_id: str | None
    kind: str | None
    reason: str

    @property
    def webhook_id(self) -> str:
        """For the log."""
        return f"{self.event_id}-{self.kind}" if self.event_id else ""


class WebhookStore(OutboxSession):
    """The statements of the loop that sends. Call `begin` before anything else."""

    _session: dict[str, Any]

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
        for source in _SOURCES:
            # From zero, so that the first one counts as an increase.
            QUARANTINED.labels(source)

    async def claim(
        self,
        busy: Sequence[str],
        receivers: int = RECEIVERS_MAX,
        floors: Mapping[str, str] | None = None,
    ) -> list[ClaimedReceiver]:
        """Lease receivers with a webhook due that no sender has leased; not those of `busy`.

        `floors`: by broker, the event id below which no webhook is looked for.
        A webhook that cannot be made is parked and quarantined instead.
        """
        rows = await self._execute(
            _CLAIM,
            {
                "busy": list(busy),
                "receivers": receivers,
                "floors": msgspec.json.encode(floors or {}).decode(),
                "zero": FIRST_ID,
                "deliveries": DELIVERIES_MAX,
                "lease_s": LEASE_S,
                **self._session,
            },
        )
        found: dict[str, list[Any]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(row)
        unusable: list[Unusable] = []
        claimed = [_receiver(of_one, unusable) for of_one in found.values()]
        if unusable:
            await self._quarantine(unusable)
        return claimed

    async def _quarantine(self, unusable: Sequence[Unusable]) -> None:
        # The table has them all; the log the first of each claim.
        first = unusable[0]
        fields = {"broker_id": first.broker_id, "item": first.webhook_id, "why": first.reason}
        log.error("%d cannot be sent and are parked", len(unusable), extra={"fields": fields})
        rows = [(one.broker_id, one.event_id, one.kind, one.reason) for one in unusable]
        for (source,) in await self._execute(_QUARANTINE, _columns(rows)):
            QUARANTINED.labels(source).inc()

    async def record(self, attempted: Sequence[Attempted], ended: Sequence[Ended]) -> None:
        """Store results, all or none. Safe to repeat: each attempt counts once."""
        with self._last_response.asking():
            async with self._connection.transaction():
                if attempted:
                    await self._execute(_ATTEMPTED, _columns(map(_attempt_row, attempted)))
                if ended:
                    rows = ((e.broker_id, e.failures, float(e.pause_s), e.gone) for e in ended)
                    await self._execute(_ENDED, [*_columns(rows), *self._session.values()])


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


def _receiver(rows: Sequence[Any], unusable: list[Unusable]) -> ClaimedReceiver:
    """The receiver of these rows of `_CLAIM`; what cannot be used is added to `unusable`."""
    broker_id, url, secrets_json, failures = rows[0][:4]
    secrets: tuple[WebhookSecret, ...] = ()
    try:
        secrets = _secrets.decode(secrets_json)
    except msgspec.MsgspecError as error:
        # Attempts fail and name the remedy, a new secret.
        unusable.append(Unusable(broker_id, None, None, f"its secrets are unreadable: {error}"))
    deliveries = []
    for row in rows:
        event_id, kind = row[4:6]
        try:
            deliveries.append(_delivery(row[4:]))
        except Exception as error:
            # Whatever is wrong with it, the webhooks beside it are sent.
            reason = str(error) if isinstance(error, UnusableError) else repr(error)
            unusable.append(Unusable(broker_id, event_id, kind, f"not sent: {reason}"))
    return ClaimedReceiver(broker_id, url, secrets, failures, tuple(deliveries))


def _delivery(row: Sequence[Any]) -> WebhookDelivery:
    event_id, kind, attempts, left, order_id, symbol, price, quantity, executed_ms = row
    if kind == "test":
        return WebhookDelivery(event_id, kind, attempts, encode(WebhookTest(event_id)), None)
    if symbol is None:
        raise UnusableError("its trade is missing")
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
