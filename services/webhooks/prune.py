"""Deletes deliveries that ended long ago, a few at a time, on a connection of its own.

What is deleted is counted in the same transaction, by broker and below which id, so that the audit
still knows of each side of a trade whether its row is there, was deleted, or is lost. By key and
not by an index of its own: ids begin with the time, so what is old stands first in each broker's
range. Neither a receiver nor anything that waits is locked.
"""

import asyncio
import logging
from typing import LiteralString

import psycopg
from psycopg import AsyncConnection

from services.webhooks.store import CONNECT_TIMEOUT_S, OPTIONS, SILENCE_MAX_S

log = logging.getLogger(__name__)

# So many at a time and a pause: some tens of millions a day, and no burst on the disk.
ROWS_MAX = 500
PAUSE_S = 1.0
# When there is nothing to delete, this is how long until there may be something; and a sender
# that has just started has better things to do.
LOOK_S = 600.0
START_S = 5.0

# Of several senders each takes rows that no other has: SKIP LOCKED. A row that is asked for again
# meanwhile has no end any more, and stays. Brokers in order, so that no two wait in a ring.
PRUNE: LiteralString = """
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


class Pruner:
    """`keep_days`: from a webhook's end, and from its trade, until its row may go; 0: for ever."""

    def __init__(self, database_url: str, keep_days: int) -> None:
        self._database_url = database_url
        self._keep_days = keep_days

    async def run(self) -> None:
        """Until it is cancelled. Without it webhooks go out as ever, so it ends nothing else."""
        await asyncio.sleep(START_S)
        while self._keep_days:
            try:
                deleted = await self.prune()
                if deleted:
                    log.info("deleted old deliveries", extra={"fields": {"rows": deleted}})
            except (psycopg.Error, TimeoutError) as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
                log.warning("old deliveries stay for now: %s", reason)
            await asyncio.sleep(LOOK_S)

    async def prune(self) -> int:
        """Delete all that is old enough by now; how many rows."""
        deleted = 0
        async with await AsyncConnection.connect(
            self._database_url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            options=OPTIONS,
        ) as connection:
            while True:
                async with asyncio.timeout(SILENCE_MAX_S):
                    rows = await connection.execute(
                        PRUNE, {"days": self._keep_days, "rows": ROWS_MAX}
                    )
                    ((count,),) = await rows.fetchall()
                deleted += count
                if count < ROWS_MAX:
                    return deleted
                await asyncio.sleep(PAUSE_S)
