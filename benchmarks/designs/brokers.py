"""Registered brokers: rows in PostgreSQL, cached by each process after the first look-up."""

from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from schemas.brokers import Broker, key_hash
from services.api.brokers import BrokerDirectory, Caller

_INSERT = """
    INSERT INTO brokers (broker_id, name, api_key_hash, created_at, webhook_url)
    VALUES (%s, %s, %s, %s, %s)
"""
_FIND = """
    SELECT broker_id::text, name, api_key_hash, created_at, webhook_url
    FROM brokers WHERE api_key_hash = %s
"""


class Brokers:
    """Keys are never revoked or changed here, so a cached broker stays valid."""

    def __init__(self, pool: AsyncConnectionPool, admin_key: str) -> None:
        self._pool = pool
        self._known = BrokerDirectory(admin_key)

    async def add(self, broker: Broker) -> None:
        """Store a new broker; returns when it is on disk."""
        async with self._pool.connection() as connection:
            row = (broker.broker_id, broker.name, broker.api_key_hash, broker.created_at)
            await connection.execute(_INSERT, (*row, broker.webhook_url))
        self._known.add(broker)

    async def caller(self, api_key: str) -> Caller | None:
        """The broker with this key; None if there is none."""
        caller = self._known.caller(api_key, now_ms=0)
        if caller is not None:
            return caller
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Broker))
            await cursor.execute(_FIND, [key_hash(api_key)])
            broker = await cursor.fetchone()
        if broker is not None:
            self._known.add(broker)
        return broker
