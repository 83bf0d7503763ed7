"""Who may do what on Kafka and PostgreSQL: the one table of roles, which `exchange access` applies.

Pure. What no right names is forbidden. Reading or writing a topic implies seeing it (its end, its
configuration apart); a service must see every topic, because it verifies them all at its start.
"""

from typing import Literal

from msgspec import Struct

from schemas.topics import (
    BOOK,
    BROKERS,
    COMMANDS,
    CONSUMER_GROUP,
    EXECUTIONS,
    LISTINGS,
    SNAPSHOTS,
    TOPICS,
    TRADES,
    Topic,
)

Operation = Literal["read", "write", "describe", "describe_configs", "create", "alter_configs"]
Privilege = Literal["SELECT", "INSERT", "UPDATE", "DELETE"]


class Right(Struct, frozen=True):
    """On Kafka. `prefixed`: on all names that begin so. A topic gets the exchange's own prefix."""

    resource: Literal["topic", "group"]
    name: str
    operations: tuple[Operation, ...]
    prefixed: bool = False

    def full_name(self, topic_prefix: str) -> str:
        """As Kafka knows it."""
        return topic_prefix + self.name if self.resource == "topic" else self.name


class Grant(Struct, frozen=True):
    """On PostgreSQL: of a table, or of these columns alone."""

    privilege: Privilege
    table: str
    columns: tuple[str, ...] = ()


class Role(Struct, frozen=True):
    """`temporary`: may make tables of its own that end with its session."""

    name: str
    purpose: str
    kafka: tuple[Right, ...] = ()
    postgres: tuple[Grant, ...] = ()
    temporary: bool = False

    def user(self, topic_prefix: str) -> str:
        """Its name on both servers: exchanges that share them have users of their own."""
        return topic_prefix + self.name


def _on(topics: tuple[Topic, ...], *operations: Operation) -> tuple[Right, ...]:
    return tuple(Right("topic", topic.name, operations) for topic in topics)


def _reads(*topics: Topic) -> tuple[Right, ...]:
    return _on(topics, "read")


def _writes(*topics: Topic) -> tuple[Right, ...]:
    return _on(topics, "write")


def _grants(privilege: Privilege, *tables: str) -> tuple[Grant, ...]:
    return tuple(Grant(privilege, table) for table in tables)


# What every client of ours does: it verifies the topics, and names a group that it never joins.
_CLIENT = (
    *_on(TOPICS, "describe", "describe_configs"),
    Right("group", CONSUMER_GROUP, ("describe",)),
)
_INGEST = (*_reads(BROKERS, LISTINGS, EXECUTIONS), *_writes(COMMANDS, BROKERS))
_READER = _reads(BROKERS, EXECUTIONS)

_TABLES = (
    "balances",
    "brokers",
    "log_identity",
    "log_positions",
    "orders",
    "schema_migrations",
    "symbols",
    "trades",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_pruned",
)
_VIEWS = _grants(
    "SELECT",
    *("balances", "log_identity", "log_positions", "orders", "schema_migrations", "symbols"),
    "trades",
)
# What a broker may ask of his webhooks; where they go and how they are signed is not read here.
_OUTBOX = (
    *_grants("SELECT", "webhook_deliveries"),
    Grant("INSERT", "webhook_deliveries", ("broker_id", "event_id", "kind")),
    Grant(
        "UPDATE",
        "webhook_deliveries",
        ("status", "attempts", "queued_at", "next_attempt_at", "finished_at"),
    ),
    Grant("SELECT", "webhook_endpoints", ("broker_id", "failures", "disabled_at")),
    Grant("UPDATE", "webhook_endpoints", ("failures", "paused_until", "disabled_at")),
)
_DELIVERING = (
    *_grants("SELECT", "webhook_deliveries", "webhook_endpoints", "webhook_pruned"),
    *_grants("DELETE", "webhook_deliveries"),
    *_grants("INSERT", "webhook_pruned"),
    Grant("UPDATE", "webhook_pruned", ("before", "sides")),
    Grant(
        "UPDATE",
        "webhook_deliveries",
        ("status", "attempts", "next_attempt_at", "finished_at", "last_status", "last_error"),
    ),
    Grant(
        "UPDATE",
        "webhook_endpoints",
        ("failures", "paused_until", "disabled_at", "lease_pid", "lease_started", "leased_until"),
    ),
    Grant(
        "SELECT",
        "trades",
        ("id", "buy_order_id", "sell_order_id", "symbol", "price", "quantity", "executed_at"),
    ),
)
# What is changed or compared must also be read.
_MOVED = ("balances", "brokers", "log_positions", "orders", "symbols")
_STORING = (
    *_grants("SELECT", *_MOVED, "log_identity", "schema_migrations", "webhook_endpoints"),
    *_grants("INSERT", *_MOVED, "log_identity", "trades", "webhook_endpoints"),
    Grant(
        "INSERT",
        "webhook_deliveries",
        ("broker_id", "event_id", "kind", "order_remaining_quantity"),
    ),
    *_grants("UPDATE", *_MOVED),
    Grant("UPDATE", "webhook_endpoints", ("url", "secrets")),
)
# As market.trades.v1 has them: nobody's orders, nobody's name.
_PUBLIC_TRADES = Grant(
    "SELECT",
    "trades",
    ("id", "symbol", "price", "quantity", "aggressor_side", "sequence", "executed_at"),
)

ROLES = (
    Role("gateway", "ingest and reader in one", _CLIENT + _INGEST, _VIEWS + _OUTBOX),
    Role("ingest", "takes orders into the log", _CLIENT + _INGEST),
    Role("reader", "answers from views", _CLIENT + _READER, _VIEWS),
    Role(
        "matcher",
        "matches; also reads what it told",
        (
            *_CLIENT,
            *_reads(COMMANDS, EXECUTIONS, TRADES, BOOK, SNAPSHOTS),
            *_writes(COMMANDS, EXECUTIONS, TRADES, BOOK, SNAPSHOTS),
        ),
    ),
    Role("sink", "stores outcomes", _CLIENT + _reads(BROKERS, EXECUTIONS), _STORING, True),
    Role("webhooks", "delivers the outbox", (), _DELIVERING),
    Role(
        "operator",
        "makes the topics, keeps brokers and listings, audits",
        (
            *_CLIENT,
            *_on(TOPICS, "create", "alter_configs", "read"),
            *_writes(BROKERS, LISTINGS),
        ),
        _grants("SELECT", *_TABLES),
    ),
    Role(
        "analyst",
        "reads what is public",
        (
            Right("topic", "market.", ("read",), prefixed=True),
            # No service of ours is in a group, so all groups are the analysts'.
            Right("group", "*", ("read",)),
        ),
        (_PUBLIC_TRADES,),
    ),
)
ROLE = {role.name: role for role in ROLES}
