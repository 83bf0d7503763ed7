"""Brings the tables to this version: numbered SQL files, each applied once, in order.

All in one transaction under an advisory lock, so that of two concurrent starts one migrates. A
file changed after it was applied, or an unknown applied file, is a MigrationError.
"""

import hashlib
from contextlib import closing
from pathlib import Path

from msgspec import Struct
from psycopg import Connection

from services.runtime.postgres.connection import command_errors, connect_or_fail
from services.runtime.postgres.watchdog import LastResponse, Watchdog, cut
from services.sink.errors import MigrationError

DIRECTORY = Path(__file__).parent / "migrations"
# Advisory lock of migrations: any number that no other program locks in this database.
_LOCK = 7_239_114_402
# Queries at a start take milliseconds; a longer silence means a dead connection.
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
    """The files of a directory in order. Raises MigrationError on a gap in their numbers."""
    found = [
        Migration(int(path.name.split("_")[0]), path.name, path.read_text(encoding="utf-8"))
        for path in sorted(directory.glob("*.sql"))
    ]
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"migrations are not numbered from 1 without a gap: {directory}")
    return found


def migrate(database_url: str, directory: Path = DIRECTORY) -> list[str]:
    """Apply missing files and return their names.

    Raises MigrationError, UnavailableError, AccessError.
    """
    migrations = read_migrations(directory)
    with command_errors(), connect_or_fail(database_url) as connection:
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
    """Check, without a change, that the tables are those of this version.

    Raises MigrationError; UnavailableError also for a server that accepts the connection and then
    sends nothing.
    """
    last_response = LastResponse(silence_s_max)
    with command_errors(), closing(connect_or_fail(database_url)) as connection:
        watchdog = Watchdog(last_response, lambda: cut(connection))
        try:
            with last_response.asking():
                missing = _missing_now(connection, read_migrations(directory))
        finally:
            watchdog.close()
    if missing:
        names = ", ".join(migration.name for migration in missing)
        raise MigrationError(
            f"the database lacks migrations: {names}; run: python -m services.sink --migrate"
        )


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
