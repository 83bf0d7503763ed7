"""Roles on PostgreSQL: users with SCRAM passwords, and their grants.

All in one transaction, so that no user is without rights for a moment. Safe to repeat. Rights that
are not in the table of roles are revoked, also from PUBLIC.
"""

from collections.abc import Mapping
from contextlib import closing

from psycopg import Connection, sql

from schemas.roles import ROLES, Grant, Role
from services.runtime.postgres.connection import command_errors, connect_or_fail

# Any number that no other program locks in this database.
_LOCK = 7_239_114_403


def apply_to_postgres(
    database_url: str, topic_prefix: str, passwords: Mapping[str, str]
) -> list[str]:
    """Set users and grants of every role, `passwords` by role. Returns the users.

    The tables must exist. Raises UnavailableError, AccessError.
    """
    roles = [role for role in ROLES if role.postgres]
    with (
        command_errors(),
        closing(connect_or_fail(database_url)) as connection,
        connection.transaction(),
    ):
        _apply(connection, roles, topic_prefix, passwords)
    return [role.user(topic_prefix) for role in roles]


def _apply(
    connection: Connection, roles: list[Role], topic_prefix: str, passwords: Mapping[str, str]
) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role in roles:
        user = role.user(topic_prefix)
        _set_password(connection, user, passwords[role.name])
        _grant_only(connection, role, sql.Identifier(user), database)


def _set_password(connection: Connection, user: str, password: str) -> None:
    known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [user]).fetchone()
    if known is None:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(user)))
    # Hashed here, so that no statement, which the server might log, contains the password.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), user.encode(), b"scram-sha-256"
    )
    connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
            sql.Identifier(user), sql.Literal(verifier.decode())
        )
    )


def _grant_only(
    connection: Connection, role: Role, user: sql.Identifier, database: sql.Identifier
) -> None:
    # The schema of the tables, which the search path of the URL names.
    ((schema,),) = connection.execute("SELECT current_schema()").fetchall()
    where = sql.Identifier(schema)
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(where, user))
    connection.execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM {}").format(where, user))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, user))
    on_database = sql.SQL("CONNECT, TEMPORARY" if role.temporary else "CONNECT")
    connection.execute(sql.SQL("GRANT {} ON DATABASE {} TO {}").format(on_database, database, user))
    for grant in role.postgres:
        connection.execute(_statement(grant, user))


def _statement(grant: Grant, user: sql.Identifier) -> sql.Composed:
    what: sql.Composable = sql.SQL(grant.privilege)
    if grant.columns:
        names = sql.SQL(", ").join(map(sql.Identifier, grant.columns))
        what = sql.SQL("{} ({})").format(what, names)
    return sql.SQL("GRANT {} ON {} TO {}").format(what, sql.Identifier(grant.table), user)
