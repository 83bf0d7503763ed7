"""Filled tables, and the rows that PostgreSQL reads for a query by EXPLAIN ANALYZE, rolled back."""

import json
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

_SETTINGS = (
    "SET synchronous_commit = off",
    # An id that begins with the time `ago` milliseconds ago, like those of the exchange.
    "CREATE FUNCTION pg_temp.id(ago bigint, n bigint) RETURNS uuid LANGUAGE sql AS $$"
    " SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - ago), 12, '0')"
    " || lpad(to_hex(n), 20, '0'))::uuid $$",
    "CREATE FUNCTION pg_temp.broker(n bigint) RETURNS uuid LANGUAGE sql AS $$"
    " SELECT lpad(to_hex(n), 32, '0')::uuid $$",
)
_FILL = (
    "INSERT INTO webhook_endpoints (broker_id, url, secrets)"
    " SELECT pg_temp.broker(n), 'http://a/', '[]' FROM generate_series(1, %(brokers)s) n",
    # One row each 4 s. The newest tenth is pending; of the others every 10th is parked.
    "INSERT INTO webhook_deliveries (broker_id, event_id, kind, order_remaining_quantity,"
    " status, queued_at, finished_at)"
    " SELECT pg_temp.broker(CASE WHEN n %% 2 = 0 THEN 1 ELSE 1 + n / 2 %% 1000 END),"
    " pg_temp.id(4000::bigint * (%(rows)s - n), n), 'bid', 1, s.status, s.at,"
    " CASE WHEN s.status <> 'pending' THEN s.at END"
    " FROM generate_series(1, %(rows)s) n CROSS JOIN LATERAL (SELECT"
    " now() - make_interval(secs => 4 * (%(rows)s - n)) AS at,"
    " CASE WHEN n > %(rows)s * 0.9 THEN 'pending' WHEN n / 2 %% 10 = 1 THEN 'parked'"
    " ELSE 'delivered' END AS status) s",
)


def fill(database_url: str) -> None:
    """Fill a migrated database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in _SETTINGS:
            connection.execute(statement.encode())
        for statement in _FILL:
            connection.execute(statement.encode(), {"rows": ROWS, "brokers": BROKERS})
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
