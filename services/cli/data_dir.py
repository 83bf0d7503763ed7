"""What an exchange keeps in its data directory beside its servers' data: admin key, addresses.

`endpoints.json` lets `exchange audit`, `broker list` and the like find a running local exchange.
"""

import os
import secrets
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from services.runtime.errors import SettingsError
from services.runtime.settings import Settings

_PRIVATE = 0o600


class Endpoints(Struct, frozen=True):
    """Where a running exchange listens."""

    kafka: str
    database_url: str
    url: str


def admin_key(data_dir: Path) -> str:
    """The key of the first run; made now if this is it."""
    return secret(data_dir / "admin-key")


def secret(path: Path) -> str:
    """What the file holds; made now if there is none. Only its owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except FileExistsError:
        key = path.read_text(encoding="utf-8").strip()
        if not key:
            raise SettingsError(f"{path} is empty: delete it, a new one is made then") from None
        return key
    key = secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(key + "\n")
    return key


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


def with_endpoints(settings: Settings) -> Settings:
    """Servers that are not set: those of the exchange that runs in the data directory."""
    found = read_endpoints(settings.data_dir)
    if found is None:
        return settings
    return structs.replace(
        settings,
        kafka=settings.kafka or found.kafka,
        database_url=settings.database_url or found.database_url,
    )
