"""Every query of the services with parameters, and the bound on what it may read.

Keys are module and beginning of the statement, as `sql_found` makes them. A query that is not
here makes a test fail: add a `Case`, or a reason to `NOT_EXPLAINED`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from services.audit.database import _EXAMINED
from services.reader import database_views
from services.reader.prices import TRADES_MAX
from services.runtime.postgres import pool
from services.sink import store as sink
from services.trim import rows as trim
from services.webhooks import session as webhooks
from services.webhooks.maintenance_store import COUNTED_MAX, PARKED_MAX, PRUNED_MAX
from services.webhooks.store import DELIVERIES_MAX, RECEIVERS_MAX
from tests.support.query_plans import (
    BIG,
    BIG_TRADES,
    BROKERS,
    BUSY,
    OPEN,
    QUIET,
    ROWS,
    SYMBOLS,
    event_id,
)

# Rows beside those of the answer: of tiny tables, and of a look-up by an index that is shared.
FEW = 100
BATCH = 2_000
PAGE = 51
LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


class Case(Struct, frozen=True, kw_only=True):
    """`then` follows the statement that was found. `setup` runs before it, in its transaction.

    `sorts`, `scans`: the reason why it may sort, or scan a large table from end to end.
    """

    parameters: Any = ()
    rows_max: int = FEW
    then: str = ""
    setup: Sequence[str] = ()
    session: Mapping[str, str] = {}
    sorts: str = ""
    scans: str = ""


GATEWAY = pool.SESSION
VIEWS = database_views.SESSION
SINK = sink.SESSION
SENDER = webhooks.SESSION
_ids = [event_id(n) for n in range(ROWS - BATCH, ROWS)]
_order_changes = (
    "CREATE TEMPORARY TABLE order_changes (id uuid, remaining_quantity bigint,"
    " filled_value numeric, trades_count bigint, closed_reason text, updated_at timestamptz,"
    " price bigint, quantity bigint, valid_until timestamptz, triggered_at timestamptz,"
    " stop_price bigint, display_quantity bigint, displayed_quantity bigint)",
    f"INSERT INTO order_changes SELECT id, 40, 1, 1, NULL, now() FROM orders"  # noqa: S608
    f" WHERE closed_reason IS NULL ORDER BY id LIMIT {BATCH}",
)
_key = {"broker_id": BUSY, "event_id": event_id(10), "kind": "bid"}
_start = {"broker_id": BUSY, "event_id": "00000000-0000-0000-0000-000000000000", "kind": ""}

TRIMMED = trim.PORTION_ROWS + FEW
_trimming = trim.parameters(1_900_000_000_000, after=event_id(BIG_TRADES))

_COMPARED = [Case(rows_max=ROWS, scans="all rows are compared")]
CASES: dict[str, Sequence[Case]] = {
    # The API.
    "webhooks.deliveries: SELECT event_id::text, kind, status, attempts,": [
        Case(
            session=GATEWAY,
            then=" AND (event_id, kind) = (%s, %s)",
            parameters=[BUSY, event_id(10), "bid"],
            rows_max=1,
        ),
    ],
    "webhooks.deliveries: INSERT INTO webhook_deliveries (broker_id, eve": [
        Case(
            session=GATEWAY,
            parameters={"broker_id": BUSY, "event_id": LAST, "pending_max": 100},
        )
    ],
    "webhooks.deliveries: UPDATE webhook_deliveries SET status = 'pendin": [
        Case(session=GATEWAY, parameters=[BUSY, event_id(10), "bid"], rows_max=1)
    ],
    "webhooks.deliveries: UPDATE webhook_endpoints SET failures = 0, pau": [
        Case(session=GATEWAY, parameters=[BUSY], rows_max=1)
    ],
    "webhooks.deliveries: WITH pending AS ( SELECT queued_at, attempts F": [
        Case(session=GATEWAY, parameters={"rows": BATCH}, rows_max=2 * BATCH)
    ],
    "reader.archive: SELECT id::text, broker_id::text, document_num": [
        Case(session=GATEWAY, then=" WHERE id = %s", parameters=[event_id(10)], rows_max=1),
        Case(
            session=VIEWS,
            then=" WHERE closed_reason IS NULL ORDER BY partition, command_offset",
            rows_max=OPEN,
        ),
    ],
    "reader.archive: SELECT id::text, price, quantity, counterparty": [
        Case(
            session=GATEWAY,
            parameters={"order_id": BIG, "before": LAST, "limit": PAGE},
            rows_max=4 * PAGE,
            sorts="the page of each side",
        )
    ],
    "reader.list_archive: SELECT sequence, id::text, price, quantity, ag": [
        Case(
            session=GATEWAY,
            parameters=[1, "S1", ROWS - 50 * SYMBOLS, ROWS, "a", "b", "c"],
            rows_max=PAGE + FEW,
        )
    ],
    "reader.archive: SELECT partition, next_command FROM log_positi": [
        Case(session=GATEWAY, parameters=["a", "b", "c"])
    ],
    # The start of a reader.
    "reader.database_views: SELECT max(version) FROM schema_migrations": [Case(session=VIEWS)],
    "reader.database_views: SELECT FROM log_identity WHERE (cluster_id, to": [
        Case(session=VIEWS, parameters=["a", "b", "c"])
    ],
    "reader.database_views: SELECT partition, next_record, epoch, next_com": [Case(session=VIEWS)],
    "reader.database_views: SELECT symbol, partition, book_sequence FROM s": [
        Case(session=VIEWS, rows_max=SYMBOLS)
    ],
    "reader.database_views: SELECT symbol, phase, reference_price, trade_s": [
        Case(session=VIEWS, rows_max=SYMBOLS)
    ],
    "reader.database_views: SELECT t.order_id::text, t.id::text, t.price,": [
        Case(session=VIEWS, rows_max=4 * OPEN, sorts="the trades of open orders, at a start")
    ],
    "reader.database_views: SELECT symbol, prices, sequence FROM symbols A": [
        Case(
            session=VIEWS,
            parameters=[TRADES_MAX],
            rows_max=SYMBOLS * (1 + TRADES_MAX),
            sorts="the newest trades of one symbol, and symbols",
        )
    ],
    "reader.database_views: SELECT s.partition, s.symbol, (extract(epoch F": [
        Case(session=VIEWS, rows_max=SYMBOLS * 300, sorts="candles of five minutes, at a start")
    ],
    "reader.database_views: SELECT s.partition, s.symbol, w.interval, (ext": [
        Case(session=VIEWS, rows_max=5 * SYMBOLS, sorts="symbols")
    ],
    "reader.database_views: SELECT broker_id::text, symbol, quantity, valu": [
        Case(session=VIEWS, rows_max=ROWS, scans="a reader holds all balances")
    ],
    "reader.database_views: SELECT broker_id::text, partition, events FROM": [
        Case(session=VIEWS, rows_max=ROWS, scans="a reader holds all numbers")
    ],
    # The sink.
    "sink.migrate: SELECT version, name, checksum FROM schema_mig": [
        Case(sorts="a few migrations")
    ],
    "sink.store: INSERT INTO log_identity (cluster_id, topic, t": [
        Case(session=SINK, parameters=["a", "b", "c"])
    ],
    "sink.store: SELECT cluster_id, topic, topic_id FROM log_id": [Case(session=SINK)],
    "sink.store: INSERT INTO log_positions VALUES (%s, 0, 0, -1": [
        Case(session=SINK, parameters=[0])
    ],
    "sink.store: SELECT partition, next_record, epoch, next_com": [Case(session=SINK)],
    "sink.store: UPDATE log_positions SET next_command = %s, ne": [
        Case(session=SINK, parameters=[1, 1, 1, "2026-01-01T00:00:00Z", 0, 0])
    ],
    "sink.store: UPDATE orders o SET remaining_quantity = c.rem": [
        Case(session=SINK, setup=_order_changes, rows_max=3 * BATCH, scans="its temporary table")
    ],
    "sink.store: INSERT INTO symbols (partition, symbol, book_s": [
        Case(session=SINK, parameters=["{0,1}", '{"S0","S1"}', "{5,6}"])
    ],
    "sink.store: INSERT INTO balances AS b (broker_id, symbol,": [
        Case(session=SINK, parameters=[f"{{{BUSY},{QUIET}}}", '{"S0","S1"}', "{5,6}", "{7,8}"])
    ],
    "sink.store: INSERT INTO broker_events AS e (partition, bro": [
        Case(session=SINK, parameters=["{0,1}", f"{{{BUSY},{QUIET}}}", "{5,6}"])
    ],
    "sink.store: SELECT partition, next_record FROM log_positio": [Case(session=SINK)],
    "sink.store: UPDATE log_positions SET events_from = 0 WHERE": [
        Case(session=SINK, parameters=[0, 1])
    ],
    "sink.store: INSERT INTO broker_events (partition, broker_i": [
        Case(session=SINK, parameters=[0, f"{{{BUSY},{QUIET}}}", "{5,6}"])
    ],
    "sink.store: INSERT INTO candles AS c (partition, symbol, i": [
        Case(
            session=SINK,
            parameters=[
                "{0,1}",
                '{"S2","S1"}',
                '{"1m","1d"}',
                "{1700000040000,1699920000000}",
                *["{1,2}"] * 9,
            ],
        )
    ],
    "sink.instrument_rows: INSERT INTO instruments (partition, symbol, ph": [
        Case(session=SINK, parameters=[0, "S1", "halted", 100, 7, 1, 1, *[None] * 5, "cancel"])
    ],
    "sink.instrument_rows: UPDATE instruments SET phase = %s WHERE partit": [
        Case(session=SINK, parameters=["halted", 0, "S1"])
    ],
    "sink.store: INSERT INTO brokers (id, name, api_key_hash, w": [
        Case(session=SINK, parameters=[BUSY, "a", "b", None, "2026-01-01T00:00:00Z"])
    ],
    "sink.store: INSERT INTO webhook_endpoints AS e (broker_id,": [
        Case(session=SINK, parameters=[BUSY, "http://b/", "[]"])
    ],
    "sink.store: INSERT INTO quarantine (source, item, reason)": [
        Case(session=SINK, parameters=["a", "b", "c"])
    ],
    # The sender.
    "webhooks.store: WITH due AS ( SELECT e.broker_id FROM webhook_": [
        Case(
            session=SENDER,
            parameters={
                "busy": [QUIET],
                "floors": f'{{"{BUSY}": "{event_id(1)}"}}',
                "zero": "00000000-0000-0000-0000-000000000000",
                "receivers": RECEIVERS_MAX,
                "deliveries": DELIVERIES_MAX,
                "lease_s": 30,
                "pid": 1,
                "started": "2026-01-01T00:00:00Z",
            },
            # Each receiver is looked at, and one of its rows; then those of the claimed ones.
            rows_max=4 * BROKERS + 2 * RECEIVERS_MAX * DELIVERIES_MAX,
            sorts="the claimed rows",
        )
    ],
    "webhooks.store: UPDATE webhook_deliveries d SET attempts = d.a": [
        Case(
            session=SENDER,
            parameters=[
                [BUSY] * 2,
                [event_id(ROWS), event_id(ROWS - 2)],
                ["bid"] * 2,
                [0, 0],
                ["delivered", "pending"],
                [0.0, 5.0],
                [200, 500],
                [None, "answered 500"],
            ],
        )
    ],
    "webhooks.store: UPDATE webhook_endpoints e SET failures = r.fa": [
        Case(
            session=SENDER,
            parameters=[[BUSY, QUIET], [0, 1], [0.0, 5.0], [False, False], 1, "2026-01-01T00:00Z"],
        )
    ],
    "webhooks.store: WITH unusable AS ( SELECT * FROM unnest(%s::uu": [
        Case(session=SENDER, parameters=[[BUSY], [event_id(ROWS)], ["bid"], ["a reason"]])
    ],
    "webhooks.maintenance_store: SELECT e.broker_id::text, e.disabled_at IS NOT": [
        Case(session=SENDER, parameters={"after": BUSY, "brokers": FEW})
    ],
    "webhooks.maintenance_store: SELECT EXISTS ( SELECT FROM webhook_deliveries": [
        Case(session=SENDER, parameters={"broker_id": BUSY})
    ],
    "webhooks.maintenance_store: SELECT event_id::text, kind FROM webhook_deliv": [
        Case(
            session=SENDER,
            parameters=_start | {"rows": COUNTED_MAX},
            rows_max=COUNTED_MAX,
        )
    ],
    "webhooks.maintenance_store: SELECT count(*) FROM ( SELECT FROM webhook_del": [
        Case(session=SENDER, parameters=_start | {"rows": COUNTED_MAX}, rows_max=COUNTED_MAX)
    ],
    "webhooks.maintenance_store: WITH portion AS ( SELECT broker_id, event_id,": [
        Case(
            session=SENDER,
            parameters=_start
            | {
                "rows": PARKED_MAX,
                "span_s": 0.0,
                "reason": None,
                "only_if_gone": gone,
            },
            rows_max=3 * PARKED_MAX,
        )
        for gone in (False, True)
    ],
    "webhooks.maintenance_store: WITH bound AS ( SELECT now() - make_interval(d": [
        Case(
            session=SENDER,
            parameters=_key | {"rows": PRUNED_MAX, "days": 1},
            rows_max=3 * PRUNED_MAX,
            sorts="the deleted rows, grouped by broker",
        )
    ],
    # The trim. A trade reads both orders, both webhooks and the newest trade of its symbol.
    "trim.rows: WITH portion AS ( SELECT id, closed_reason IS": [
        Case(session=trim.SESSION, parameters=_trimming, then=trim.COUNT, rows_max=TRIMMED),
        Case(
            session=trim.SESSION,
            parameters=_trimming,
            then=trim.DELETE_ORDERS,
            rows_max=2 * TRIMMED,
        ),
    ],
    "trim.rows: WITH portion AS ( SELECT id, ( SELECT count(*)": [
        Case(session=trim.SESSION, parameters=_trimming, then=trim.COUNT, rows_max=6 * TRIMMED),
        Case(
            session=trim.SESSION,
            parameters=_trimming,
            then=trim.DELETE_TRADES,
            rows_max=7 * TRIMMED,
        ),
    ],
    "trim.log: SELECT partition, next_record, epoch, next_com": [Case(parameters=["a", "b", "c"])],
    # The audit reads everything, batch by batch.
    "audit.database: SELECT id::text, broker_id::text, document_num": [
        Case(then=" WHERE id = ANY(%s::uuid[])", parameters=[_ids], rows_max=BATCH)
    ],
    "audit.database: SELECT id::text, buy_order_id::text, sell_orde": [
        Case(then=" WHERE id = ANY(%s::uuid[])", parameters=[_ids], rows_max=BATCH)
    ],
    "audit.database: SELECT partition, next_command, summed_from, e": [Case()],
    "audit.database: SELECT symbol, book_sequence FROM symbols WHER": [
        Case(parameters=[0], rows_max=SYMBOLS)
    ],
    "audit.database: SELECT symbol, phase, reference_price, trade_s": [
        Case(parameters=[0], rows_max=SYMBOLS, scans="all instruments are compared")
    ],
    "audit.database: SELECT 'clock', extract(epoch FROM clock) * 10": [Case(parameters=[0])],
    "audit.database: SELECT broker_id::text || ' ' || symbol, ARRAY": [
        Case(rows_max=ROWS, scans="all balances are compared")
    ],
    "audit.database: SELECT id::text, name, api_key_hash, webhook_u": [Case(rows_max=BROKERS)],
    "audit.database: SELECT broker_id::text, url, secrets::text FRO": [Case(rows_max=BROKERS)],
    "audit.database: SELECT id::text, broker_id::text, symbol, side": [
        Case(then=" WHERE id = ANY(%s::uuid[])", parameters=[_ids], rows_max=BATCH)
    ],
    "audit.database: SELECT table_name, before::text, rows FROM tri": [Case()],
    "audit.database: SELECT count(*) FROM orders r": [
        Case(
            then=_EXAMINED,
            parameters=[[0], [10]],
            rows_max=ROWS,
            scans="all orders are counted",
        )
    ],
    "audit.database: SELECT count(*) FROM trades r": [
        Case(
            then=_EXAMINED,
            parameters=[[0], [10]],
            rows_max=ROWS + BIG_TRADES,
            scans="all trades are counted",
        )
    ],
    "audit.own_events: SELECT partition, broker_id::text, events FROM": _COMPARED,
    "audit.candles: SELECT partition, symbol, interval, extract(ep": _COMPARED,
    "audit.webhooks: SELECT d.broker_id::text, d.event_id::text, d.": [
        Case(parameters=[[BUSY] * BATCH, _ids, ["bid"] * BATCH], rows_max=2 * BATCH)
    ],
    "audit.webhooks: SELECT partition, queued_from FROM log_positio": [Case()],
    "audit.webhooks: SELECT broker_id::text, before::text, sides FR": [
        Case(parameters=[[BUSY, QUIET]], rows_max=BROKERS)
    ],
    "audit.webhooks: SELECT count(*) FROM webhook_deliveries WHERE": [
        Case(parameters=[[BUSY, QUIET]], rows_max=ROWS, scans="all webhooks are counted")
    ],
}

_CATALOG = "reads PostgreSQL's catalog, or no table"
NOT_EXPLAINED: dict[str, str] = {
    "trim.rows: SELECT count(*) FILTER (WHERE old), count(*),": "the end of other statements",
    "trim.rows: SELECT pg_try_advisory_lock(%s)": _CATALOG,
    "access.postgres_grants: SELECT pg_advisory_xact_lock(%s)": _CATALOG,
    "access.postgres_grants: SELECT FROM pg_roles WHERE rolname = %s": _CATALOG,
    "access.postgres_grants: SELECT current_schema()": _CATALOG,
    "audit.database: SELECT pg_export_snapshot()": _CATALOG,
    "runtime.postgres.connection: SELECT count(set_config(name, value, false)) F": _CATALOG,
    "reader.list_archive: SELECT (extract(epoch FROM start) * 1000)::big": "a form of queries; "
    "each is explained by a test of its own",
    "reader.list_archive: SELECT f.id::text || '-' || f.side, f.id::text": "a form of queries; "
    "each is explained by a test of its own",
    "sink.migrate: SELECT pg_advisory_xact_lock(%s)": _CATALOG,
    "sink.migrate: SELECT to_regclass('schema_migrations')": _CATALOG,
    "sink.migrate: INSERT INTO schema_migrations (version, name,": "inserts a row",
    "sink.store: SELECT pid, backend_start::text FROM pg_stat_a": _CATALOG,
    "sink.store: SELECT pg_terminate_backend(pid) FROM pg_stat_": _CATALOG,
    "sink.store: COPY {} ({}) FROM STDIN": "COPY has no plan",
    "webhooks.store: SELECT to_regclass('quarantine'), pid, backend": _CATALOG,
}
