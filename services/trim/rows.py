"""Deletes old closed orders and old trades from PostgreSQL, in portions of rows.

Safe while the exchange runs and safe to repeat. A closed order never changes again, and every sum
is a row of its own, so balances, prices and books stay. Kept whatever their age are: open orders; a
trade while one of its orders, a webhook of it, or too few newer trades of its symbol are stored.
Ids begin with the time, so the primary key finds old rows. The same transaction stores the number
of deleted rows, so that the audit distinguishes a deleted row from a lost one.
"""

import time
from contextlib import closing
from typing import Any, LiteralString

from msgspec import Struct
from psycopg import Connection

from schemas.tables import ORDERS, TRADES
from schemas.units import rfc3339
from services.reader.prices import TRADES_MAX
from services.runtime.errors import RefusedError
from services.runtime.postgres.connection import command_errors, connect
from services.runtime.progress import Progress

# Rows that one statement reads: some tens of milliseconds of work.
PORTION_ROWS = 1_000
# Pause between two portions: the sink and the senders use the same disk.
PAUSE_S = 0.02
# Any number that no other program locks in this database.
_LOCK = 7_239_114_404
# Every plan but look-ups by an index is switched off, whatever the statistics say.
SESSION = {
    "statement_timeout": "60000",
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
_FIRST_ID = "00000000-0000-0000-0000-000000000000"

_ORDERS: LiteralString = """
    WITH portion AS (
        SELECT id, closed_reason IS NOT NULL AND updated_at < %(closed_before)s AS old
        FROM orders WHERE id > %(after)s AND id < %(before)s ORDER BY id LIMIT %(rows)s
    )
"""
# TRADES_MAX newest trades of a symbol make its prices. Counts, because PostgreSQL might answer an
# EXISTS by reading the whole other table first.
_TRADES: LiteralString = """
    WITH portion AS (
        SELECT id, (
            SELECT count(*) FROM orders o WHERE o.id IN (t.buy_order_id, t.sell_order_id)
            AND (o.closed_reason IS NULL OR o.updated_at >= %(closed_before)s OR o.id >= %(before)s)
        ) + (
            SELECT count(*) FROM webhook_deliveries d
            WHERE d.broker_id IN (t.buy_broker_id, t.sell_broker_id) AND d.event_id = t.id
        ) = 0 AND t.sequence <= (
            SELECT max(n.sequence) FROM trades n
            WHERE n.partition = t.partition AND n.symbol = t.symbol
        ) - %(prices)s AS old
        FROM trades t WHERE id > %(after)s AND id < %(before)s ORDER BY id LIMIT %(rows)s
    )
"""
_DELETE: LiteralString = """
    , gone AS (
        DELETE FROM {table} r USING portion p WHERE r.id = p.id AND p.old RETURNING 1
    ), counted AS (
        INSERT INTO trimmed AS t (table_name, before, rows)
        SELECT '{table}', %(before)s, count(*) FROM gone HAVING count(*) > 0
        ON CONFLICT (table_name) DO UPDATE SET before = greatest(t.before, excluded.before),
            rows = t.rows + excluded.rows
    )
    SELECT (SELECT count(*) FROM gone), count(*), max(id::text) FROM portion
"""
COUNT: LiteralString = (
    "\n    SELECT count(*) FILTER (WHERE old), count(*), max(id::text) FROM portion"
)
DELETE_ORDERS: LiteralString = _DELETE.replace("{table}", "orders")
DELETE_TRADES: LiteralString = _DELETE.replace("{table}", "trades")
_LOCKED: LiteralString = "SELECT pg_try_advisory_lock(%s)"

# By table, in this order: what finds the rows, and what deletes them.
_STATEMENTS = {
    ORDERS.name: (_ORDERS, DELETE_ORDERS),
    TRADES.name: (_TRADES, DELETE_TRADES),
}


class TrimmedTable(Struct, frozen=True):
    """Rows of a table that are older than the age: `deleted`, or to be deleted, and `kept`."""

    table: str
    deleted: int
    kept: int


def trim_rows(
    database_url: str, before_ms: int, progress: Progress, *, dry_run: bool
) -> list[TrimmedTable]:
    """Delete orders and trades from before `before_ms`. `dry_run`: only count.

    Raises RefusedError while another one runs, UnavailableError, AccessError.
    """
    with command_errors(), closing(connect(database_url, SESSION)) as connection:
        if not dry_run:
            ((locked,),) = connection.execute(_LOCKED, [_LOCK]).fetchall()
            if not locked:
                raise RefusedError("another `exchange trim database` is running")
        done = []
        for table, (portion, delete) in _STATEMENTS.items():
            progress.begin(table, None, "rows")
            query = portion + (COUNT if dry_run else delete)
            done.append(_trim(connection, table, query, before_ms, progress))
        return done


def first_id(time_ms: int) -> str:
    """The lowest id of this millisecond."""
    digits = f"{time_ms:012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"


def parameters(before_ms: int, after: str = _FIRST_ID, rows: int = PORTION_ROWS) -> dict[str, Any]:
    """Parameters of the statements, for the portion after the id `after`."""
    return {
        "closed_before": rfc3339(before_ms),
        "before": first_id(before_ms),
        "after": after,
        "rows": rows,
        "prices": TRADES_MAX,
    }


def _trim(
    connection: Connection, table: str, query: LiteralString, before_ms: int, progress: Progress
) -> TrimmedTable:
    deleted = seen = 0
    after = _FIRST_ID
    while True:
        asked = parameters(before_ms, after)
        ((old, found, last),) = connection.execute(query, asked).fetchall()
        deleted += old
        seen += found
        progress.update(seen)
        if found < PORTION_ROWS:
            return TrimmedTable(table, deleted, seen - deleted)
        after = last
        time.sleep(PAUSE_S if old else 0)
