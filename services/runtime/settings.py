"""Every `EXCHANGE_...` variable in one typed list, read once in `__main__` into a frozen struct.

A bad value or an unknown variable is a SettingsError with one readable line.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.topology import Durability
from services.runtime.errors import SettingsError
from services.runtime.setting_texts import accepted_values, with_similar

PREFIX = "EXCHANGE_"
# Secrets that a file may contain instead. Kafka's password file is read by `kafka_access`, because
# `exchange run` passes files of roles on.
_FROM_FILES = ("database_url", "admin_key")

# Values of such variables are never printed.
_SECRET_NAMES = ("KEY", "PASSWORD", "DATABASE_URL")

Access = Literal["open", "secured"]
KafkaMechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]
Port = Annotated[int, Meta(ge=0, le=65535)]
PerTime = Annotated[int, Meta(ge=0, le=1_000_000)]
Milliseconds = Annotated[int, Meta(ge=0, le=600_000)]


class Settings(Struct, frozen=True, kw_only=True):
    """All settings. A variable's name is `EXCHANGE_` and the field's name in capitals."""

    kafka: str = ""
    """Bootstrap servers; empty: `exchange run` starts a local broker."""
    database_url: str = ""
    """PostgreSQL URL; empty: `exchange run` starts a local server."""
    database_url_file: Path | None = None
    """A file with the URL, which may contain a password, instead of the URL."""
    kafka_user: str = ""
    """User of this process on Kafka, authenticated by SASL; empty: no authentication."""
    kafka_password: str = ""
    """The user's password."""
    kafka_password_file: Path | None = None
    """A file with the password, instead of the password."""
    kafka_mechanism: KafkaMechanism = "SCRAM-SHA-512"
    """SASL mechanism of the password."""
    kafka_ca: str = ""
    """TLS with Kafka: file with the certificate authority; `probe`: the system's authorities."""
    access: Access = "open"
    """Secured: `exchange run` gives every service a separate user on Kafka and PostgreSQL."""
    topic_prefix: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9.-]{0,40}$(?!\n)",
            description="a text of up to 40 lower-case letters, digits, dots and hyphens",
        ),
    ] = ""
    """Prefix of every topic's name, so that several exchanges can share one Kafka."""
    partitions: Annotated[int, Meta(ge=1, le=4096)] = 2
    """Partitions of the symbol topics, at creation; they never change afterwards."""
    durability: Durability | None = None
    """When an order counts as stored; empty: fsync on one broker, replicated on three."""
    host: str = "127.0.0.1"
    """Address that the HTTP API listens on."""
    port: Port = 8000
    """Port that the HTTP API listens on."""
    gateway: Annotated[str, Meta(max_length=64)] = ""
    """Name of this gateway, the same after each start: it cancels what orders its sessions with
    cancel on disconnect left when it was killed. No two running ones may share it. Empty: host name
    and port."""
    data_dir: Path = Path(".local")
    """Directory of `exchange run` for its servers' data, logs and the admin key."""
    aot_cache: Literal["on", "off"] = "on"
    """On: `exchange run` starts Kafka with an AOT cache, and makes one if there is none."""
    admin_key: Annotated[str, Meta(min_length=16, max_length=200)] | None = None
    """Key for `POST /register`."""
    admin_key_file: Path | None = None
    """A file with the key, instead of the key."""
    reader_url: str = ""
    """Base URL of a reader, for ingest that runs without one in the same process."""
    metrics_port: Port | None = None
    """Port of /metrics, /livez and /readyz of every service. 0: none; not set: a free one, which
    the service log names."""
    metrics_host: str = "127.0.0.1"
    """Address of the metrics port; in a container it must be reachable from outside."""
    metrics_on_api: bool = False
    """Serve /metrics on the port of the HTTP API as well, to any client without a key."""
    in_flight_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 2_000
    """Requests that wait for the command log at once; further ones are answered 503."""
    rate_orders: PerTime | None = None
    """New orders per second of one broker, with bursts of two seconds' worth. 0: no limit, the
    default of `exchange run`. Else 1,000."""
    rate_cancels: PerTime | None = None
    """Cancels per second of one broker, likewise; else 2,000."""
    rate_reads: PerTime | None = None
    """Reads per second of one broker, likewise; else 4,000."""
    rate_webhooks: PerTime | None = None
    """Test webhooks and replays per second of one broker, likewise; else 10."""
    rate_secrets: PerTime | None = None
    """New webhook secrets per minute of one broker, likewise; else 10."""
    failed_keys: PerTime | None = None
    """Requests without a valid key per minute and address; further ones are answered 429 instead
    of 401. 0: no limit, the default of `exchange run`. Else 60."""
    rate_keyless: PerTime | None = None
    """Requests without a valid key per second and address, with bursts of ten seconds' worth;
    further ones are answered 429. 0: no limit; else 20."""
    connections_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 2_000
    """Connections to the HTTP API at once. Beyond it the longest silent one that showed no valid
    key is closed; if all showed one, the newcomer is answered 503 and closed."""
    connections_per_address: Annotated[int, Meta(ge=1, le=1_000_000)] = 500
    """Connections of one address that showed no valid key; beyond it the longest silent one of
    them is closed."""
    streams_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_500
    """WebSocket connections to a gateway at once, besides those of HTTP; further ones are answered
    503. 0: none."""
    public_data: Literal["key", "open"] | None = None
    """Whether market data by WebSocket and by queries needs a broker's key: `key`, or `open`, the
    default of `exchange run`."""
    origins: str = ""
    """Origins of web pages, besides the gateway's own, that may open a WebSocket, with commas
    between them, as `https://page.example`."""
    hosts: str = ""
    """Host headers, besides loopback names, that an API on loopback answers to, with commas between
    them: the name of a proxy on the same machine."""
    outcome_wait_ms: Milliseconds = 1_000
    """Time that POST waits for the outcome before it answers 202."""
    delivery_timeout_ms: Annotated[int, Meta(ge=100, le=600_000)] = 3_000
    """Time limit for the delivery of ingest's records."""
    linger_ms: Milliseconds = 0
    """Time that commands and executions wait in a producer for further records; 0: only while a
    request before them is under way."""
    linger_public_ms: Milliseconds = 100
    """Time that public records wait for others, so that they share a transaction."""
    snapshot_every: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 100_000
    """Commands of a partition between two snapshots of its matcher; 0: no snapshots."""
    open_orders_max: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 100_000
    """Open orders of one broker on one partition; further limit orders are refused."""
    symbols_max: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1_000
    """Symbols of one partition whose first resting order was this broker's; orders that would open
    a further book are refused."""
    client_order_ids_max: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 250_000
    """Client order ids that a matcher remembers for an hour, of one broker on one partition;
    further orders with one are refused."""
    takeover_ms: Annotated[int, Meta(ge=100, le=600_000)] = 3_000
    """Time without outcomes for waiting commands after which a standby takes over."""
    clock_ahead_ms_max: Annotated[int, Meta(ge=0, le=1_000_000_000_000)] = 5_000
    """Distance by which a command's timestamp may be ahead of the matcher's clock; beyond it the
    matcher stops before it publishes the outcome. 0: no limit."""
    webhook_allow_cidrs: str = ""
    """Networks that webhooks may go to besides public addresses, as `10.0.0.0/8,::1/128`."""
    webhook_retries: Literal["standard", "seconds"] | None = None
    """Retry schedule of webhooks: three days, or one minute (`seconds`, used by `exchange run`)."""
    webhook_concurrency: Annotated[int, Meta(ge=1, le=64)] = 1
    """Webhooks of one broker in progress at once; more than 1 is faster and loses their order."""
    webhook_keep_days: Annotated[int, Meta(ge=0, le=10_000)] = 30
    """Days from a webhook's end, and from its trade, until its row is deleted; 0: never."""
    webhook_pending_max: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 1_000_000
    """Pending webhooks of one broker; beyond it the oldest are parked unsent. 0: no limit."""
    disks: str = ""
    """Folders whose disks the sink measures, separated by commas: those of Kafka and PostgreSQL,
    where it sees them. Empty under `exchange run`: its data directory."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read settings from the environment, and secrets from the files that it names.

    An empty text counts as not set. A file is ignored if the secret itself is set. Raises
    SettingsError.
    """
    given = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    known = {variable(field): field for field in Settings.__struct_fields__}
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        # Not ignored: a misspelt limit would silently be the default.
        names = ", ".join(with_similar(name, known, PREFIX) for name in unknown)
        raise SettingsError(f"unknown setting {names}; docs/operating.md lists all settings")
    values: dict[str, str] = {known[name]: text for name, text in given.items() if text}
    for field, text in values.items():
        # Such text can be written neither to a file nor to a terminal.
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise SettingsError(f"{variable(field)} is not UTF-8")
    for field in _FROM_FILES:
        file = values.pop(f"{field}_file", None)
        if file and field not in values:
            values[field] = _secret_in(file, f"{field}_file")
    for field, text in values.items():
        _require_valid(field, text)
    return _convert(values)


def _convert(values: dict[str, str]) -> Settings:
    return msgspec.convert(values, Settings, strict=False, dec_hook=_decode)


def _require_valid(field: str, text: str) -> None:
    try:
        _convert({field: text})
    except msgspec.ValidationError as error:
        shown = "..." if any(word in variable(field) for word in _SECRET_NAMES) else text
        accepted = accepted_values(Settings, field)
        raise SettingsError(f"{variable(field)}={shown}: must be {accepted}") from error


def _secret_in(file: str, field: str) -> str:
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable(field)}={file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{variable(field)}={file}: not UTF-8") from error
    if not secret:
        raise SettingsError(f"{variable(field)}={file}: the file is empty")
    return secret


def _decode(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(kind)


def require(value: str | None, field: str) -> str:
    """The value of a required setting. Raises SettingsError if it is missing."""
    if not value:
        raise SettingsError(f"{variable(field)} is needed and not set")
    return value


def parse_partitions(text: str, count: int) -> list[int]:
    """Parse `0-3`, `0,2` or `all` to partition numbers below `count`. Raises SettingsError."""
    if text == "all":
        return list(range(count))
    chosen: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise SettingsError(f"partitions {text!r}: write 0-3, 0,2 or all")
        chosen.update(range(int(first), int(last or first) + 1))
    if not chosen or max(chosen) >= count:
        raise SettingsError(f"partitions {text!r}: the exchange has 0-{count - 1}")
    return sorted(chosen)
