"""One connection of the webhook sender to PostgreSQL, which is given up when it falls silent."""

from typing import Any, LiteralString, Self

from psycopg import AsyncConnection

from services.runtime.postgres.connection import connect_async
from services.runtime.postgres.watchdog import LastResponse, Watchdog, cut

# No statement takes so long unless the server is stuck; a longer silence means it is gone.
_STATEMENT_TIMEOUT_MS = 15_000
SILENCE_S_MAX = 20.0
# Queues change faster than PostgreSQL's statistics, so every plan but look-ups is switched off.
SESSION = {
    "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
    "jit": "off",
    "synchronous_commit": "off",
    "plan_cache_mode": "force_custom_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
}


class OutboxSession:
    """One connection with one caller at a time. After a psycopg.Error, open another."""

    def __init__(self, connection: AsyncConnection, silence_s_max: float) -> None:
        self._connection = connection
        self._last_response = LastResponse(silence_s_max)
        self._watchdog = Watchdog(self._last_response, lambda: cut(connection))

    @classmethod
    async def open(cls, database_url: str, silence_s_max: float = SILENCE_S_MAX) -> Self:
        """Connect."""
        return cls(await connect_async(database_url, SESSION), silence_s_max)

    async def close(self) -> None:
        """Close the connection, which ends every lease of its session."""
        self._watchdog.close()
        await self._connection.close()

    def cut(self) -> None:
        """Abort, from another thread, a call that waits for a silent server."""
        cut(self._connection)

    async def _execute(self, query: LiteralString, parameters: Any = None) -> list[Any]:
        with self._last_response.asking():
            cursor = await self._connection.execute(query, parameters)
            return await cursor.fetchall() if cursor.description else []
