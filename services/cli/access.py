"""`exchange access`: separate users for all services on Kafka and PostgreSQL, with minimal
rights."""

import os
from typing import Annotated

import typer
from msgspec import Struct

from schemas.roles import ROLES, Role
from services.access.credentials import apply_kafka_roles, apply_postgres_roles, password_file
from services.cli.settings import readable_errors, show
from services.runtime.errors import SettingsError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.settings import read_settings
from services.sink.migrate import require_migrated

app = typer.Typer(
    help="Users and rights of the services on Kafka and PostgreSQL.", no_args_is_help=True
)


class RoleRow(Struct, frozen=True):
    """A role's state on the servers."""

    role: str
    user: str
    purpose: str
    kafka: list[str]
    postgres: list[str]


@app.command()
def apply() -> None:
    """Create users and rights as `exchange access show` lists them. Safe to repeat.

    Uses the servers of EXCHANGE_KAFKA and EXCHANGE_DATABASE_URL, as users who may grant rights;
    `exchange run` with EXCHANGE_ACCESS=secured does it for its own servers. Passwords are created
    once, in one file per role in EXCHANGE_DATA_DIR/access: delete a file and apply again for a new
    one.
    """
    with readable_errors():
        settings = read_settings(os.environ)
        if not settings.kafka and not settings.database_url:
            raise SettingsError(
                "set EXCHANGE_KAFKA, EXCHANGE_DATABASE_URL or both to the servers, with a user who "
                "may give rights there"
            )
        if settings.kafka:
            for one in apply_kafka_roles(settings, kafka_access(settings)):
                typer.echo(
                    f"Kafka       {one.user}: {one.added} rules added, {one.removed} removed"
                )
        if settings.database_url:
            require_migrated(settings.database_url)
            for user in apply_postgres_roles(settings, settings.database_url):
                typer.echo(f"PostgreSQL  {user}")
        typer.echo(f"passwords are in {password_file(settings.data_dir, '')}")


@app.command("show")
def show_access(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False
) -> None:
    """Show every role with its rights; everything else is forbidden. Contacts no server."""
    with readable_errors():
        prefix = read_settings(os.environ).topic_prefix
        show([_row(role, prefix) for role in ROLES], as_json=as_json, text=_text)


def _row(role: Role, prefix: str) -> RoleRow:
    kafka: dict[str, list[str]] = {}
    for right in role.kafka:
        name = right.full_name(prefix) + ("*" if right.prefixed else "")
        kafka.setdefault(f"{right.resource} {name}", []).extend(right.operations)
    postgres: dict[str, list[str]] = {}
    for grant in role.postgres:
        columns = f" ({', '.join(grant.columns)})" if grant.columns else ""
        postgres.setdefault(grant.table, []).append(f"{grant.privilege}{columns}")
    return RoleRow(
        role.name, role.user(prefix), role.purpose, _joined(kafka, ", "), _joined(postgres, "; ")
    )


def _joined(rights: dict[str, list[str]], comma: str) -> list[str]:
    return [f"{what}: {comma.join(allowed)}" for what, allowed in sorted(rights.items())]


def _text(rows: list[RoleRow]) -> str:
    lines: list[str] = []
    for row in rows:
        lines.append(f"{row.user}: {row.purpose}")
        lines += [f"    Kafka       {right}" for right in row.kafka]
        lines += [f"    PostgreSQL  {grant}" for grant in row.postgres]
    return "\n".join(lines)
