"""What an exchange keeps in its data directory beside its servers' data: secrets and addresses.

`access/` has a file for each role's password. `endpoints.json` lets `exchange audit`, `broker list`
and the like find a running local exchange.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from infra.secrets import read_or_create_secret
from services.runtime.settings import Settings, read_settings, require

_PRIVATE = 0o600


class Endpoints(Struct, frozen=True):
    """Where a running exchange listens, and as whom its operator asks Kafka."""

    kafka: str
    database_url: str
    url: str
    kafka_user: str = ""
    kafka_password_file: str = ""


def admin_key(data_dir: Path) -> str:
    """The key of the first run; made now if this is it. Only its owner may read the file."""
    data_dir.mkdir(parents=True, exist_ok=True)
    return read_or_create_secret(data_dir / "admin-key")


def write_endpoints(data_dir: Path, endpoints: Endpoints) -> None:
    """Atomic, and private: a database URL may hold a password."""
    fresh = data_dir / "endpoints.json.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(endpoints))
    fresh.replace(data_dir / "endpoints.json")


def forget_endpoints(data_dir: Path) -> None:
    """The exchange is no longer there."""
    (data_dir / "endpoints.json").unlink(missing_ok=True)


def read_endpoints(data_dir: Path) -> Endpoints | None:
    """Those of the exchange that runs there; None when none does."""
    try:
        return msgspec.json.decode((data_dir / "endpoints.json").read_bytes(), type=Endpoints)
    except (OSError, msgspec.MsgspecError):
        return None


def operator_settings() -> Settings:
    """For commands that talk to an exchange: the environment, then the exchange that runs here.

    Raises SettingsError when no Kafka is known.
    """
    settings = with_endpoints(read_settings(os.environ))
    require(settings.kafka, "kafka")
    return settings


def with_endpoints(settings: Settings) -> Settings:
    """Servers that are not set: those of the exchange that runs in the data directory."""
    found = read_endpoints(settings.data_dir)
    return settings if found is None else filled(settings, found)


def filled(settings: Settings, found: Endpoints) -> Settings:
    """What is not set, from these. Whoever names a Kafka also says who he is there."""
    settings = structs.replace(settings, database_url=settings.database_url or found.database_url)
    if settings.kafka:
        return settings
    settings = structs.replace(settings, kafka=found.kafka)
    if not found.kafka_user or settings.kafka_user:
        return settings
    file = Path(found.kafka_password_file)
    return structs.replace(settings, kafka_user=found.kafka_user, kafka_password_file=file)
