"""Connections to PostgreSQL, with the same session settings in every program of the exchange.

Settings are made after connecting, not by the startup parameter `options`: that would replace the
URL's `options`, and connection poolers refuse it. They override the defaults of the database, of
the user and of PG... environment variables; the schema search path is that of the URL.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, BaseConnection, Connection
from psycopg.conninfo import conninfo_to_dict

from services.runtime.errors import SettingsError, UnavailableError
from services.runtime.postgres.errors import outage, raise_if_auth_error, waitable
from services.runtime.postgres.watchdog import LastResponse, Watchdog, cut
from services.runtime.settings import variable

# Longest wait for the server to accept a connection, and to accept its settings.
CONNECT_TIMEOUT_S = 5
# Parameters of libpq. Keepalives detect a server whose machine does not respond any more.
PARAMETERS: Mapping[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "client_encoding": "UTF8",
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
# The keepalives free the locks of a client whose machine has vanished; by default that takes hours.
_COMMON = {
    "datestyle": "ISO",
    "timezone": "UTC",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_SET: LiteralString = (
    "SELECT count(set_config(name, value, false))"
    " FROM unnest(%s::text[], %s::text[]) AS given (name, value)"
)
_PORT_MAX = 65_535
_URL = variable("database_url")

# Session settings by name, in addition to the common ones or instead of them.
SessionSettings = Mapping[str, str]


def checked_url(database_url: str) -> str:
    """The URL. Raises SettingsError, without the text, which may contain a password."""
    try:
        # libpq also takes a list of ports, one for each host.
        ports = str(conninfo_to_dict(database_url).get("port") or "").split(",")
        correct = all(not port or 0 < int(port) <= _PORT_MAX for port in ports)
    except (psycopg.ProgrammingError, ValueError):
        correct = False
    if not correct:
        raise SettingsError(
            f"{_URL} is not a PostgreSQL URL; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    return database_url


def connect(
    database_url: str, session: SessionSettings | None = None, *, autocommit: bool = True
) -> Connection:
    """A connection with its settings made.

    Raises psycopg.Error, to be judged by `errors.waitable`; SettingsError for a wrong URL, or a
    database whose encoding is not UTF8.
    """
    connection = psycopg.connect(checked_url(database_url), autocommit=True, **PARAMETERS)
    # The server may fall silent at any moment, and the time limit of connecting is over.
    last_response = LastResponse(CONNECT_TIMEOUT_S)
    watchdog = Watchdog(last_response, lambda: cut(connection))
    try:
        _require_utf8(connection)
        with last_response.asking():
            connection.execute(_SET, _columns(session))
        connection.autocommit = autocommit
    except BaseException:
        connection.close()
        raise
    finally:
        watchdog.close()
    return connection


def connect_or_fail(database_url: str, session: SessionSettings | None = None) -> Connection:
    """A connection, not in autocommit, for a command that does not wait for a server.

    Raises UnavailableError, AccessError, SettingsError.
    """
    with command_errors():
        return connect(database_url, session, autocommit=False)


@contextmanager
def command_errors() -> Iterator[None]:
    """Raise UnavailableError or AccessError for PostgreSQL's errors, where a command ends by them.

    An error that neither time nor rights can mend is a psycopg.Error still.
    """
    try:
        yield
    except psycopg.Error as error:
        raise_if_auth_error(error)
        if not waitable(error):
            raise
        raise UnavailableError(outage(error)) from error


async def connect_async(
    database_url: str, session: SessionSettings | None = None
) -> AsyncConnection:
    """The same as `connect`, on the running event loop."""
    connection = await AsyncConnection.connect(
        checked_url(database_url), autocommit=True, **PARAMETERS
    )
    try:
        await prepare(connection, session)
    except BaseException:
        await connection.close()
        raise
    return connection


async def prepare(connection: AsyncConnection, session: SessionSettings | None = None) -> None:
    """Make the settings of a connection that is in autocommit."""
    _require_utf8(connection)
    limit = asyncio.get_running_loop().call_later(CONNECT_TIMEOUT_S, cut, connection)
    try:
        await connection.execute(_SET, _columns(session))
    finally:
        limit.cancel()


def _columns(session: SessionSettings | None) -> list[list[str]]:
    settings = _COMMON | dict(session or {})
    return [list(settings), list(settings.values())]


def _require_utf8(connection: "BaseConnection[Any]") -> None:
    """Raises SettingsError: names and texts of brokers may be in any script."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        raise SettingsError(
            f"the database of {_URL} has the encoding {encoding}; use one that was created with "
            "ENCODING 'UTF8'"
        )
