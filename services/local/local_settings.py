"""Settings of an exchange on this machine: its defaults, absolute paths and a free port."""

import errno
from pathlib import Path

from msgspec import structs

from infra.environment import forget_postgres_variables
from infra.ports import free_port, listen_error
from services.access.credentials import with_absolute_files
from services.runtime.errors import BusyError, SettingsError
from services.runtime.postgres.connection import checked_url
from services.runtime.settings import Settings

# Defaults for trying the exchange on one machine: receivers are local, and retries are quick.
LOCAL_CIDRS = "127.0.0.0/8,::1/128"


def settings_here(data_dir: Path, settings: Settings) -> Settings:
    """Settings with the defaults of one machine, absolute paths and a free port.

    Services run in another folder than the caller, so a relative path would mean another file.
    Variables of libpq are removed if the database is a local one, which they do not mean.
    Raises BusyError, SettingsError.
    """
    if not settings.database_url:
        forget_postgres_variables()
    file = settings.kafka_password_file
    settings = structs.replace(
        settings,
        data_dir=data_dir,
        database_url=with_absolute_files(settings.database_url),
        kafka_password_file=None if file is None else file.absolute(),
        kafka_ca=str(Path(settings.kafka_ca).absolute())
        if settings.kafka_ca not in ("", "probe")
        else settings.kafka_ca,
        webhook_allow_cidrs=settings.webhook_allow_cidrs or LOCAL_CIDRS,
        public_data=settings.public_data or "open",
        webhook_retries=settings.webhook_retries or "seconds",
        disks=settings.disks or str(data_dir.absolute()),
    )
    if settings.database_url:
        checked_url(settings.database_url)
    if not settings.port:
        return structs.replace(settings, port=free_port())
    _require_free(settings.host, settings.port)
    return settings


def _require_free(host: str, port: int) -> None:
    error = listen_error(port, host)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise BusyError(f"port {port} is in use: stop what listens there, or set EXCHANGE_PORT")
    raise SettingsError(
        f"cannot listen on EXCHANGE_HOST={host} EXCHANGE_PORT={port}: {error.strerror}"
    )


def unlimited(settings: Settings) -> Settings:
    """Settings without default limits: all programs of one machine share an address."""
    open_ones = (
        "rate_orders",
        "rate_cancels",
        "rate_reads",
        "rate_webhooks",
        "rate_secrets",
        "failed_keys",
    )
    return structs.replace(
        settings, **{name: 0 for name in open_ones if getattr(settings, name) is None}
    )
