"""Permissions of each role on Kafka and PostgreSQL, applied by `exchange access`.

Pure. Everything not granted here is forbidden. A right to read or write a topic includes
`describe`, but not `describe_configs`; a service needs both on every topic, because it verifies
all of them at its start.
"""

from typing import Literal

from msgspec import Struct

from schemas import tables
from schemas.tables import Table
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
    TRANSACTIONAL_ID,
    Topic,
)

Operation = Literal[
    "read", "write", "describe", "describe_configs", "create", "alter_configs", "delete"
]
Resource = Literal["topic", "group", "transactional_id"]
Privilege = Literal["SELECT", "INSERT", "UPDATE", "DELETE"]


class Right(Struct, frozen=True):
    """A right on Kafka. `prefixed`: on all names with this prefix."""

    resource: Resource
    name: str
    operations: tuple[Operation, ...]
    prefixed: bool = False

    def full_name(self, topic_prefix: str) -> str:
        """The resource's name on Kafka: all but groups have the exchange's prefix."""
        return self.name if self.resource == "group" else topic_prefix + self.name


class Grant(Struct, frozen=True):
    """A right on PostgreSQL: on a whole table, or on `columns` only."""

    privilege: Privilege
    table: str
    columns: tuple[str, ...] = ()


class Role(Struct, frozen=True):
    """A user on both servers. `temporary`: may create temporary tables."""

    name: str
    purpose: str
    kafka: tuple[Right, ...] = ()
    postgres: tuple[Grant, ...] = ()
    temporary: bool = False

    def user(self, topic_prefix: str) -> str:
        """Its user name on both servers, prefixed so that exchanges can share them."""
        return topic_prefix + self.name


def _on(topics: tuple[Topic, ...], *operations: Operation) -> tuple[Right, ...]:
    return tuple(Right("topic", topic.name, operations) for topic in topics)


def _reads(*topics: Topic) -> tuple[Right, ...]:
    return _on(topics, "read")


def _writes(*topics: Topic) -> tuple[Right, ...]:
    return _on(topics, "write")


def _grants(privilege: Privilege, *stored: Table) -> tuple[Grant, ...]:
    return tuple(Grant(privilege, table.name) for table in stored)


def _selects(role: str) -> tuple[Grant, ...]:
    """The grants to read, as `schemas.tables` lists them."""
    return tuple(
        Grant("SELECT", table.name, table.readers[role])
        for table in tables.TABLES
        if role in table.readers
    )


# Every service verifies the topics, and names a consumer group that it never joins.
_CLIENT = (
    *_on(TOPICS, "describe", "describe_configs"),
    Right("group", CONSUMER_GROUP, ("describe",)),
)
_READER = _reads(BROKERS, LISTINGS, EXECUTIONS)
_INGEST = (*_READER, *_writes(COMMANDS, BROKERS))

# Changes by the REST API when a broker requests a test webhook or a replay.
_REQUEUING = (
    Grant("INSERT", tables.WEBHOOK_DELIVERIES.name, ("broker_id", "event_id", "kind")),
    Grant(
        "UPDATE",
        tables.WEBHOOK_DELIVERIES.name,
        ("status", "attempts", "queued_at", "next_attempt_at", "finished_at"),
    ),
    Grant("UPDATE", tables.WEBHOOK_ENDPOINTS.name, ("failures", "paused_until", "disabled_at")),
)
_DELIVERING = (
    *_grants("DELETE", tables.WEBHOOK_DELIVERIES),
    *_grants("INSERT", tables.QUARANTINE, tables.WEBHOOK_PRUNED),
    Grant("UPDATE", tables.WEBHOOK_PRUNED.name, ("before", "sides")),
    Grant(
        "UPDATE",
        tables.WEBHOOK_DELIVERIES.name,
        ("status", "attempts", "next_attempt_at", "finished_at", "last_status", "last_error"),
    ),
    Grant(
        "UPDATE",
        tables.WEBHOOK_ENDPOINTS.name,
        ("failures", "paused_until", "disabled_at", "lease_pid", "lease_started", "leased_until"),
    ),
)
# Rows that the sink writes again when they change.
_UPSERTED = (
    tables.BALANCES,
    tables.BROKERS,
    tables.BROKER_EVENTS,
    tables.CANDLES,
    tables.INSTRUMENTS,
    tables.LOG_POSITIONS,
    tables.ORDERS,
    tables.SYMBOLS,
)
_STORING = (
    *_grants(
        "INSERT",
        *_UPSERTED,
        tables.LOG_IDENTITY,
        tables.QUARANTINE,
        tables.TRADES,
        tables.WEBHOOK_ENDPOINTS,
    ),
    Grant(
        "INSERT",
        tables.WEBHOOK_DELIVERIES.name,
        ("broker_id", "event_id", "kind", "order_remaining_quantity"),
    ),
    *_grants("UPDATE", *_UPSERTED),
    Grant("UPDATE", tables.WEBHOOK_ENDPOINTS.name, ("url", "secrets")),
)
_TRIMMING = (
    *_grants("DELETE", tables.ORDERS, tables.TRADES),
    *_grants("INSERT", tables.TRIMMED),
    *_grants("UPDATE", tables.TRIMMED),
)

ROLES = (
    Role(
        "gateway", "ingest and reader in one", _CLIENT + _INGEST, _selects("gateway") + _REQUEUING
    ),
    Role("ingest", "writes orders to the command log", _CLIENT + _INGEST),
    Role("reader", "answers from views", _CLIENT + _READER, _selects("reader")),
    Role(
        "matcher",
        "matches orders; also reads its own records",
        (
            *_CLIENT,
            *_reads(COMMANDS, EXECUTIONS, TRADES, BOOK, SNAPSHOTS),
            *_writes(COMMANDS, EXECUTIONS, TRADES, BOOK, SNAPSHOTS),
            Right("transactional_id", TRANSACTIONAL_ID, ("write", "describe"), prefixed=True),
        ),
    ),
    Role(
        "sink",
        "stores outcomes",
        _CLIENT + _reads(BROKERS, EXECUTIONS),
        _selects("sink") + _STORING,
        True,
    ),
    Role("webhooks", "delivers the outbox", (), _selects("webhooks") + _DELIVERING),
    Role(
        "operator",
        "creates topics, maintains brokers and listings, audits, trims",
        (
            *_CLIENT,
            *_on(TOPICS, "create", "alter_configs", "read"),
            *_writes(BROKERS, LISTINGS),
            # Of old records.
            *_on((COMMANDS, EXECUTIONS), "delete"),
        ),
        _selects("operator") + _TRIMMING,
    ),
    Role(
        "analyst",
        "reads public market data",
        (
            Right("topic", "market.", ("read",), prefixed=True),
            # No service joins a consumer group, so analysts may use any group.
            Right("group", "*", ("read",)),
        ),
        _selects("analyst"),
    ),
)
ROLE = {role.name: role for role in ROLES}
