"""Passwords of an exchange's roles: created, given to both servers and to each role's process.

A role's password is created once and kept in the data directory; it is the same on Kafka and on
PostgreSQL.
"""

from pathlib import Path

from msgspec import structs
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.secrets import make_private_folder, read_or_create_secret
from schemas.roles import ROLE
from services.access.kafka_acls import Changed, apply_to_kafka
from services.access.postgres_grants import apply_to_postgres
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.postgres.connection import checked_url
from services.runtime.settings import Settings

# They compare the key of `POST /register`; a process of another role must not be able to.
ADMIN_KEY_ROLES = frozenset({"gateway", "ingest"})

_FILES_OF_URLS = ("passfile", "sslcert", "sslcrl", "sslcrldir", "sslkey", "sslrootcert")


def password_file(data_dir: Path, role: str) -> Path:
    """The file with the password of a role, created by `read_or_create_secret`."""
    return data_dir / "access" / role


def as_role(settings: Settings, role: str) -> Settings:
    """Settings of a process in this role, derived from settings that name the servers.

    Credentials that the role does not need are left out.
    """
    rights = ROLE[role]
    settings = only_needed(settings, role)
    user, file = rights.user(settings.topic_prefix), password_file(settings.data_dir, role)
    password = read_or_create_secret(file)
    return structs.replace(
        settings,
        kafka_user=user if rights.kafka else "",
        kafka_password="",
        kafka_password_file=file if rights.kafka else None,
        kafka_mechanism="SCRAM-SHA-512",
        database_url=make_conninfo(settings.database_url, user=user, password=password)
        if rights.postgres
        else "",
    )


def only_needed(settings: Settings, role: str) -> Settings:
    """Settings without the secrets of servers and calls that this role does not use."""
    rights = ROLE[role]
    if role not in ADMIN_KEY_ROLES:
        settings = structs.replace(settings, admin_key=None)
    if not rights.postgres:
        settings = structs.replace(settings, database_url="")
    if not rights.kafka:
        settings = structs.replace(
            settings, kafka_user="", kafka_password="", kafka_password_file=None
        )
    return settings


def with_absolute_files(database_url: str) -> str:
    """The URL with absolute names of its files, such as `sslrootcert`. Raises SettingsError."""
    parts = conninfo_to_dict(checked_url(database_url))
    relative = {
        name: str(Path(str(parts[name])).absolute())
        for name in _FILES_OF_URLS
        if parts.get(name) and not Path(str(parts[name])).is_absolute()
    }
    # `system` is libpq's word for the authorities of the system.
    if parts.get("sslrootcert") == "system":
        relative.pop("sslrootcert")
    return make_conninfo("", **(parts | relative)) if relative else database_url


def without_password(database_url: str) -> str:
    """The URL without its password, for display."""
    return make_conninfo("", **(conninfo_to_dict(database_url) | {"password": None}))


def apply_kafka_roles(settings: Settings, admin: KafkaAccess) -> list[Changed]:
    """Apply the roles to Kafka as `admin`. Raises AccessError, UnavailableError."""
    return apply_to_kafka(admin, settings.topic_prefix, _passwords(settings))


def apply_postgres_roles(settings: Settings, owner_url: str) -> list[str]:
    """Apply the roles to PostgreSQL, whose tables must exist, as the owner in `owner_url`.

    Raises AccessError, UnavailableError.
    """
    return apply_to_postgres(owner_url, settings.topic_prefix, _passwords(settings))


def _passwords(settings: Settings) -> dict[str, str]:
    make_private_folder(settings.data_dir)
    return {role: read_or_create_secret(password_file(settings.data_dir, role)) for role in ROLE}
