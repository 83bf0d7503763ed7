"""The tables of PostgreSQL as data: columns, writers, readers. Named only here.

Pure. The SQL is in `services/sink/migrations`; a test compares both. `schemas.roles` derives its
grants to read from `readers`.
"""

from msgspec import Struct

# The newest migration in `services/sink/migrations`. A reader refuses tables of any other version.
SCHEMA_VERSION = 18

# In `Table.readers`: every column.
ALL: tuple[str, ...] = ()


class Table(Struct, frozen=True):
    """`writers` and `readers` name roles of `schemas.roles`.

    `readers` maps a role to the columns that it may read. A role that updates or compares rows
    must also read them, so most writers are readers too.
    """

    name: str
    columns: tuple[str, ...]
    writers: tuple[str, ...]
    readers: dict[str, tuple[str, ...]]
    purpose: str


# The roles that answer REST reads.
_VIEWS = {"gateway": ALL, "reader": ALL}

BALANCES = Table(
    name="balances",
    columns=("broker_id", "symbol", "quantity", "value"),
    writers=("sink",),
    readers={**_VIEWS, "sink": ALL, "operator": ALL},
    purpose="Lots and cents per broker and symbol, from which a reader starts.",
)
BROKERS = Table(
    name="brokers",
    columns=("id", "name", "api_key_hash", "webhook_url", "created_at"),
    writers=("sink",),
    readers={"sink": ALL, "operator": ALL},
    purpose="Registered brokers.",
)
BROKER_EVENTS = Table(
    name="broker_events",
    columns=("partition", "broker_id", "events"),
    writers=("sink",),
    readers={**_VIEWS, "sink": ALL, "operator": ALL},
    purpose="Numbers of own events per partition and broker, from which a reader starts.",
)
CANDLES = Table(
    name="candles",
    columns=(
        "partition",
        "symbol",
        "interval",
        "start",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "value",
        "trades",
        "first_sequence",
        "last_sequence",
    ),
    writers=("sink",),
    readers={**_VIEWS, "sink": ALL, "operator": ALL, "analyst": ALL},
    purpose="Trades summed by symbol and interval.",
)
INSTRUMENTS = Table(
    name="instruments",
    columns=(
        "partition",
        "symbol",
        "phase",
        "reference_price",
        "trade_sequence",
        "tick_size",
        "lot_size",
        "quantity_max",
        "value_max",
        "price_min",
        "price_max",
        "band_ppm",
        "band_action",
    ),
    writers=("sink",),
    readers={**_VIEWS, "sink": ALL, "operator": ALL, "analyst": ALL},
    purpose="Rules of the symbols for which operators have set some.",
)
LOG_IDENTITY = Table(
    name="log_identity",
    columns=("singleton", "cluster_id", "topic", "topic_id"),
    writers=("sink",),
    readers={**_VIEWS, "sink": ALL, "operator": ALL},
    purpose="The Kafka topic that this database was filled from: one row.",
)
LOG_POSITIONS = Table(
    name="log_positions",
    columns=(
        "partition",
        "next_command",
        "next_record",
        "epoch",
        "clock",
        "summed_from",
        "queued_from",
        "events_from",
    ),
    writers=("sink",),
    readers={**_VIEWS, "sink": ALL, "operator": ALL},
    purpose="Per partition, the offsets up to which outcomes are stored.",
)
ORDERS = Table(
    name="orders",
    columns=(
        "id",
        "broker_id",
        "document_number",
        "client_order_id",
        "symbol",
        "side",
        "order_type",
        "price",
        "quantity",
        "remaining_quantity",
        "filled_value",
        "valid_until",
        "status",
        "closed_reason",
        "created_at",
        "updated_at",
        "partition",
        "command_offset",
        "time_in_force",
        "post_only",
        "minimum_quantity",
        "stop_price",
        "triggered_at",
        "display_quantity",
        "displayed_quantity",
        "self_trade_prevention",
        "trades_count",
    ),
    writers=("sink", "operator"),
    readers={**_VIEWS, "sink": ALL, "operator": ALL},
    purpose="Accepted orders in their latest state.",
)
QUARANTINE = Table(
    name="quarantine",
    columns=("source", "item", "reason", "noticed_at"),
    writers=("sink", "webhooks"),
    readers={"sink": ALL, "webhooks": ALL, "operator": ALL},
    purpose="Records and rows that could not be processed and were passed over, with the reason.",
)
SCHEMA_MIGRATIONS = Table(
    name="schema_migrations",
    columns=("version", "name", "checksum", "applied_at"),
    # `exchange run` and `python -m services.sink --migrate` connect as the database's owner.
    writers=(),
    readers={**_VIEWS, "sink": ALL, "operator": ALL},
    purpose="Applied migrations.",
)
SYMBOLS = Table(
    name="symbols",
    columns=("partition", "symbol", "book_sequence"),
    writers=("sink",),
    readers={**_VIEWS, "sink": ALL, "operator": ALL},
    purpose="The book sequence per symbol, from which a reader starts.",
)
TRADES = Table(
    name="trades",
    columns=(
        "id",
        "buy_order_id",
        "sell_order_id",
        "buy_broker_id",
        "sell_broker_id",
        "symbol",
        "price",
        "quantity",
        "aggressor_side",
        "sequence",
        "executed_at",
        "partition",
        "command_offset",
        "index",
    ),
    writers=("sink", "operator"),
    readers={
        **_VIEWS,
        # The content of a webhook; the counterparty is not part of it.
        "webhooks": (
            "id",
            "buy_order_id",
            "sell_order_id",
            "symbol",
            "price",
            "quantity",
            "executed_at",
        ),
        "operator": ALL,
        # The fields of market.trades.v1: neither orders nor brokers.
        "analyst": (
            "id",
            "symbol",
            "price",
            "quantity",
            "aggressor_side",
            "sequence",
            "executed_at",
        ),
    },
    purpose="Every trade.",
)
TRIMMED = Table(
    name="trimmed",
    columns=("table_name", "before", "rows"),
    writers=("operator",),
    readers={"operator": ALL},
    purpose="Per table, the number of old rows that `exchange trim database` has deleted.",
)
WEBHOOK_DELIVERIES = Table(
    name="webhook_deliveries",
    columns=(
        "broker_id",
        "event_id",
        "kind",
        "order_remaining_quantity",
        "status",
        "attempts",
        "queued_at",
        "next_attempt_at",
        "finished_at",
        "last_status",
        "last_error",
    ),
    writers=("sink", "gateway", "webhooks"),
    readers={"gateway": ALL, "webhooks": ALL, "operator": ALL},
    purpose="The webhook outbox: one row per side of a trade, and per test.",
)
WEBHOOK_ENDPOINTS = Table(
    name="webhook_endpoints",
    columns=(
        "broker_id",
        "url",
        "secrets",
        "failures",
        "paused_until",
        "disabled_at",
        "lease_pid",
        "lease_started",
        "leased_until",
    ),
    writers=("sink", "gateway", "webhooks"),
    readers={
        # The REST API never reads the URL or the secrets that sign.
        "gateway": ("broker_id", "failures", "disabled_at"),
        "sink": ALL,
        "webhooks": ALL,
        "operator": ALL,
    },
    purpose="Per broker, the receiver's URL and secrets, its failures and the sender's lease.",
)
WEBHOOK_PRUNED = Table(
    name="webhook_pruned",
    columns=("broker_id", "before", "sides"),
    writers=("webhooks",),
    readers={"webhooks": ALL, "operator": ALL},
    purpose="Per broker, the number of delivered webhooks that were deleted.",
)

TABLES = (
    BALANCES,
    BROKER_EVENTS,
    BROKERS,
    CANDLES,
    INSTRUMENTS,
    LOG_IDENTITY,
    LOG_POSITIONS,
    ORDERS,
    QUARANTINE,
    SCHEMA_MIGRATIONS,
    SYMBOLS,
    TRADES,
    TRIMMED,
    WEBHOOK_DELIVERIES,
    WEBHOOK_ENDPOINTS,
    WEBHOOK_PRUNED,
)
