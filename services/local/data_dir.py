"""Secrets and addresses in an exchange's data directory, besides its servers' data.

`access/` has a file for each role's password. `endpoints.json` lets commands such as `exchange
audit` and `broker list` find a running local exchange.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from infra.environment import forget_postgres_variables
from infra.secrets import make_private_folder, read_or_create_secret
from services.runtime.settings import Settings, read_settings, require, variable

_PRIVATE = 0o600


class Endpoints(Struct, frozen=True):
    """Addresses of a running exchange, and its operator's user on Kafka."""

    kafka: str
    database_url: str
    url: str
    kafka_user: str = ""
    kafka_password_file: str = ""


def admin_key(data_dir: Path) -> str:
    """The admin key, created at the first run. Only its owner may read the file."""
    make_private_folder(data_dir)
    return read_or_create_secret(data_dir / "admin-key")


def admin_key_file(data_dir: Path, environ: Mapping[str, str]) -> Path | None:
    """The file with the admin key; None if it is the value of a variable."""
    if environ.get(variable("admin_key")):
        return None
    named = environ.get(variable("admin_key_file"))
    return Path(named).absolute() if named else data_dir / "admin-key"


def operator_key(settings: Settings) -> str:
    """The admin key of the settings, else of the exchange in the data directory.

    Raises SettingsError if there is none.
    """
    if settings.admin_key:
        return settings.admin_key
    file = settings.data_dir / "admin-key"
    return require(file.read_text().strip() if file.exists() else None, "admin_key")


def write_endpoints(data_dir: Path, endpoints: Endpoints) -> None:
    """Write the file atomically and privately, because a database URL may hold a password."""
    fresh = data_dir / "endpoints.json.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(endpoints))
    fresh.replace(data_dir / "endpoints.json")


def forget_endpoints(data_dir: Path) -> None:
    """Remove the file when the exchange has stopped."""
    (data_dir / "endpoints.json").unlink(missing_ok=True)


def read_endpoints(data_dir: Path) -> Endpoints | None:
    """The endpoints of the exchange that runs in this directory; None if there is none."""
    try:
        return msgspec.json.decode((data_dir / "endpoints.json").read_bytes(), type=Endpoints)
    except (OSError, msgspec.MsgspecError):
        return None


def operator_settings() -> Settings:
    """Settings of commands: the environment, then the exchange that runs in the data directory.

    Raises SettingsError if no Kafka is known.
    """
    settings = with_endpoints(read_settings(os.environ))
    require(settings.kafka, "kafka")
    return settings


def with_endpoints(settings: Settings) -> Settings:
    """Fill missing server addresses with those of the exchange that runs in the data directory.

    Variables of libpq are for a server that the environment names, so they are removed if the
    database is the local one.
    """
    found = read_endpoints(settings.data_dir)
    if found is None:
        return settings
    if not settings.database_url:
        forget_postgres_variables()
    return filled(settings, found)


def filled(settings: Settings, found: Endpoints) -> Settings:
    """Fill missing settings. The Kafka user belongs to the Kafka address, so both or neither."""
    settings = structs.replace(settings, database_url=settings.database_url or found.database_url)
    if settings.kafka:
        return settings
    settings = structs.replace(settings, kafka=found.kafka)
    if not found.kafka_user or settings.kafka_user:
        return settings
    file = Path(found.kafka_password_file)
    return structs.replace(settings, kafka_user=found.kafka_user, kafka_password_file=file)
