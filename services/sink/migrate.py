"""Brings the tables to this version: numbered SQL files, each applied once, in order.

All in one transaction under an advisory lock: two that start at once do it once. A file that was
changed after it was applied, or one applied that we do not know, is a MigrationError.
"""

import hashlib
from contextlib import closing
from pathlib import Path

import psycopg
from msgspec import Struct
from psycopg import Connection
from psycopg.errors import InsufficientPrivilege

from services.runtime.errors import UnavailableError
from services.runtime.postgres.errors import raise_if_auth_error
from services.runtime.postgres.watchdog import LastResponse, Watchdog, cut
from services.sink.errors import MigrationError

DIRECTORY = Path(__file__).parent / "migrations"
# Any number that nothing else in the database locks.
_LOCK = 7_239_114_402
# How long a start waits for the server.
CONNECT_TIMEOUT_S = 5
# What is asked at a start is answered at once, unless nobody is there.
SILENCE_S_MAX = 10.0


class Migration(Struct, frozen=True):
    """One file: `0001_tables.sql` is version 1."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(directory: Path = DIRECTORY) -> list[Migration]:
    """The files of a directory in order. Raises MigrationError on a gap in the numbers."""
    found = [
        Migration(int(path.name.split("_")[0]), path.name, path.read_text(encoding="utf-8"))
        for path in sorted(directory.glob("*.sql"))
    ]
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"migrations are not numbered from 1 without a gap: {directory}")
    return found


def migrate(database_url: str, directory: Path = DIRECTORY) -> list[str]:
    """Apply what is missing; the names applied. Raises MigrationError, UnavailableError."""
    migrations = read_migrations(directory)
    with connect(database_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            " version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        missing = _missing(connection, migrations)
        for migration in missing:
            connection.execute(migration.sql.encode())
            connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                [migration.version, migration.name, migration.checksum],
            )
    return [migration.name for migration in missing]


def require_migrated(
    database_url: str, directory: Path = DIRECTORY, silence_s_max: float = SILENCE_S_MAX
) -> None:
    """Change nothing. Raises MigrationError when the tables are not those of this version.

    Raises UnavailableError also for a server that takes the connection and then says nothing.
    """
    last_response = LastResponse(silence_s_max)
    with closing(connect(database_url)) as connection:
        watchdog = Watchdog(last_response, lambda: cut(connection))
        try:
            with last_response.asking():
                missing = _missing_now(connection, read_migrations(directory))
        except (psycopg.OperationalError, InsufficientPrivilege) as error:
            raise_if_auth_error(error)
            raise UnavailableError(f"PostgreSQL does not answer: {error}") from error
        finally:
            watchdog.close()
    if missing:
        names = ", ".join(migration.name for migration in missing)
        raise MigrationError(
            f"the database lacks migrations: {names}; run: python -m services.sink --migrate"
        )


def connect(database_url: str) -> Connection:
    """A connection for a start, where a server that does not answer is the end.

    Raises UnavailableError, AccessError.
    """
    try:
        return psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.OperationalError as error:
        raise_if_auth_error(error)
        reason = str(error).strip().splitlines()[-1]
        raise UnavailableError(f"PostgreSQL does not answer: {reason}") from error


def _missing_now(connection: Connection, migrations: list[Migration]) -> list[Migration]:
    known = connection.execute("SELECT to_regclass('schema_migrations')").fetchone()
    if known is None or known[0] is None:
        return migrations
    return _missing(connection, migrations)


def _missing(connection: Connection, migrations: list[Migration]) -> list[Migration]:
    applied = connection.execute(
        "SELECT version, name, checksum FROM schema_migrations ORDER BY version"
    ).fetchall()
    ours = {migration.version: migration for migration in migrations}
    for version, name, checksum in applied:
        if version not in ours:
            raise MigrationError(f"the database is newer than this program: it has {name}")
        if ours[version].checksum != checksum:
            raise MigrationError(
                f"{ours[version].name} was changed after it had been applied; "
                f"write a new migration instead"
            )
    return migrations[len(applied) :]
