"""Filled tables, and the rows that PostgreSQL reads for a query by EXPLAIN ANALYZE, rolled back."""

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from msgspec import Struct

# Rows of the largest tables; the brokers share them.
ROWS = 1_000_000
BROKERS = 1_000
# This broker has half of the rows of webhook_deliveries; the others share the rest.
BUSY = "00000000-0000-0000-0000-000000000001"
QUIET = "00000000-0000-0000-0000-000000000002"

# Of the orders, one in a hundred is open.
OPEN = ROWS // 100
SYMBOLS = 300
# The order that has so many trades.
BIG_TRADES = 5_000


def event_id(number: int) -> str:
    """The id of the order, trade and webhook with this number, from 1 to ROWS."""
    return str(uuid.UUID(f"{1_700_000_000_000 + 4_000 * number:012x}{number:020x}"))


BIG = event_id(50)

_SETTINGS = (
    "SET synchronous_commit = off",
    # An id that begins with a time, like those of the exchange: row n is of 4 s after row n - 1.
    "CREATE FUNCTION pg_temp.id(n bigint) RETURNS uuid LANGUAGE sql AS $$"
    " SELECT (lpad(to_hex(1700000000000 + 4000 * n), 12, '0')"
    " || lpad(to_hex(n), 20, '0'))::uuid $$",
    "CREATE FUNCTION pg_temp.at(n bigint) RETURNS timestamptz LANGUAGE sql AS $$"
    " SELECT to_timestamp(1700000000 + 4 * n) $$",
    "CREATE FUNCTION pg_temp.broker(n bigint) RETURNS uuid LANGUAGE sql AS $$"
    " SELECT lpad(to_hex(n), 32, '0')::uuid $$",
)
_FILL = (
    "INSERT INTO log_identity VALUES (true, 'a', 'b', 'c')",
    "INSERT INTO log_positions SELECT n, 1, 1, 0, now(), 0, 0 FROM generate_series(0, 1) n",
    "INSERT INTO brokers SELECT pg_temp.broker(n), 'a', 'b', NULL, now()"
    " FROM generate_series(1, %(brokers)s) n",
    "INSERT INTO symbols SELECT n %% 2, 'S' || n, 1 FROM generate_series(1, %(symbols)s) n",
    "INSERT INTO instruments SELECT n %% 2, 'S' || n, 'continuous', 100, 1, 1, 1"
    " FROM generate_series(1, %(symbols)s) n",
    "INSERT INTO balances SELECT pg_temp.broker(n), 'S' || m, 1, 1"
    " FROM generate_series(1, %(brokers)s) n, generate_series(1, %(symbols)s) m",
    "INSERT INTO webhook_pruned SELECT pg_temp.broker(n), pg_temp.id(0), 1"
    " FROM generate_series(1, %(brokers)s) n",
    "INSERT INTO quarantine SELECT 'a', n::text, 'b', pg_temp.at(n)"
    " FROM generate_series(1, %(rows)s / 10) n",
    # Every 100th order is open; each is the buyer of one trade and the seller of another.
    "INSERT INTO orders (id, broker_id, document_number, symbol, side, order_type, price, quantity,"
    " remaining_quantity, filled_value, closed_reason, created_at, updated_at, partition,"
    " command_offset, trades_count, client_order_id)"
    " SELECT pg_temp.id(n), pg_temp.broker(1 + n %% 1000), '1',"
    " 'S' || 1 + n %% %(symbols)s, 'bid', 'limit', 100, 100,"
    " CASE WHEN n %% 100 = 0 THEN 50 ELSE 0 END, 1,"
    " CASE WHEN n %% 100 <> 0 THEN 'filled' END, pg_temp.at(n), pg_temp.at(n), n %% 2, n, 2,"
    " CASE WHEN n %% 3 = 0 THEN 'c' END FROM generate_series(1, %(rows)s) n",
    "INSERT INTO trades SELECT pg_temp.id(n), pg_temp.id(n), pg_temp.id(n - 1),"
    " pg_temp.broker(1 + n %% 1000), pg_temp.broker(1 + (n - 1) %% 1000),"
    " 'S' || s, 100, 1, 'bid', n, pg_temp.at(n), s %% 2, n, 0"
    " FROM generate_series(1, %(rows)s) n CROSS JOIN LATERAL (SELECT 1 + n %% %(symbols)s AS s) s",
    "INSERT INTO trades SELECT pg_temp.id(%(rows)s + n), pg_temp.id(50), pg_temp.id(49),"
    " pg_temp.broker(1), pg_temp.broker(2), 'S1', 100, 1, 'bid', %(rows)s + n, now(), 0, n, 0"
    " FROM generate_series(1, %(big)s) n",
    "INSERT INTO broker_events SELECT p, pg_temp.broker(n), n"
    " FROM generate_series(1, %(brokers)s) n, generate_series(0, 1) p",
    # Minutes of 300 symbols, a day of hours, and days.
    "INSERT INTO candles SELECT s %% 2, 'S' || s, i, pg_temp.at(n * k), 1, 1, 1, 1, 1, 1, 1, 1, 1"
    " FROM generate_series(1, %(symbols)s) s, (VALUES ('1m', 15), ('5m', 75), ('1h', 900),"
    " ('1d', 21600)) v (i, k), generate_series(1, 100) n",
    "INSERT INTO webhook_endpoints (broker_id, url, secrets)"
    " SELECT pg_temp.broker(n), 'http://a/', '[]' FROM generate_series(1, %(brokers)s) n",
    # The newest tenth is pending; of the others every 10th is parked.
    "INSERT INTO webhook_deliveries (broker_id, event_id, kind, order_remaining_quantity,"
    " status, queued_at, finished_at)"
    " SELECT pg_temp.broker(CASE WHEN n %% 2 = 0 THEN 1 ELSE 1 + n / 2 %% 1000 END),"
    " pg_temp.id(n), 'bid', 1, s.status, pg_temp.at(n),"
    " CASE WHEN s.status <> 'pending' THEN pg_temp.at(n) END"
    " FROM generate_series(1, %(rows)s) n CROSS JOIN LATERAL (SELECT"
    " CASE WHEN n > %(rows)s * 0.9 THEN 'pending' WHEN n / 2 %% 10 = 1 THEN 'parked'"
    " ELSE 'delivered' END AS status) s",
)


def fill(database_url: str) -> None:
    """Fill a migrated database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in _SETTINGS:
            connection.execute(statement.encode())
        parameters = {"rows": ROWS, "brokers": BROKERS, "symbols": SYMBOLS, "big": BIG_TRADES}
        for statement in _FILL:
            connection.execute(statement.encode(), parameters)
        connection.execute("VACUUM ANALYZE")


class Read(Struct, frozen=True):
    """Cost of one query: nodes of its plan, and the rows that its scans visited."""

    nodes: tuple[str, ...]
    scanned: tuple[str, ...]
    sorts: bool
    rows: int

    def __str__(self) -> str:
        """One line for a failed test."""
        return f"{self.rows:,} rows by {', '.join(self.nodes)}"


def read_by(connection: psycopg.Connection, query: str, parameters: Any) -> Read:
    """Run the query, undo it, and return what it read."""
    explain = b"EXPLAIN (ANALYZE, COSTS OFF, FORMAT JSON) " + query.encode()
    with connection.transaction(force_rollback=True):
        ((plan,),) = connection.execute(explain, parameters).fetchall()
    plan = json.loads(plan) if isinstance(plan, str) else plan
    nodes = list(_nodes(plan[0]["Plan"]))
    return Read(
        tuple(_named(node) for node in nodes),
        tuple(node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"),
        any("Sort" in node["Node Type"] for node in nodes),
        sum(map(_rows, nodes)),
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    inner: Sequence[dict[str, Any]] = node.get("Plans", ())
    for child in inner:
        yield from _nodes(child)


def _named(node: dict[str, Any]) -> str:
    of = node.get("Index Name") or node.get("Relation Name")
    return f"{node['Node Type']} {of}" if of else str(node["Node Type"])


def _rows(node: dict[str, Any]) -> int:
    if not node["Node Type"].endswith("Scan") or "Relation Name" not in node:
        return 0
    removed = sum(rows for name, rows in node.items() if name.startswith("Rows Removed by"))
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])
