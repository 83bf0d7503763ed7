"""The containers of infra/compose.yaml for `make up` and `make down`, with their keys."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from infra.ports import LOOPBACK
from infra.secrets import read_or_create_secret
from services.access.credentials import without_password
from services.local.banner import admin_key_row, shell_lines
from services.local.data_dir import Endpoints, admin_key, admin_key_file
from services.runtime.errors import UnavailableError
from services.runtime.readiness import wait_ready
from services.runtime.settings import PREFIX, Settings, read_settings

# A variable of compose.yaml that is named like a setting and is none.
IMAGE: Final = "EXCHANGE_IMAGE"
KAFKA_PORT = "9094"
POSTGRES_PORT = "15432"
# Services that a profile adds, with the variable and the default of their published port.
ADDED: Final = (
    ("apart", "apart", "APART_PORT", "8001"),
    ("monitoring", "Prometheus", "PROMETHEUS_PORT", "9090"),
    ("monitoring", "Grafana", "GRAFANA_PORT", "3000"),
)
# The containers are ready by then; only the path from this machine to them is checked.
READY_TIMEOUT_S = 20.0


class ComposeStack(Struct, frozen=True):
    """Environment, keys and published addresses of the containers."""

    environ: dict[str, str]
    """The whole environment for Compose, keys included."""
    data_dir: Path
    project: str
    admin_key: str
    admin_key_file: Path | None
    endpoints: Endpoints


def stack_of(environ: Mapping[str, str]) -> ComposeStack:
    """Read the variables; a missing key is read from the data directory, or created there.

    Raises SettingsError.
    """
    settings = read_settings({name: text for name, text in environ.items() if name != IMAGE})
    data_dir = settings.data_dir / "containers"
    key = settings.admin_key or admin_key(data_dir)
    password = environ.get("POSTGRES_PASSWORD") or read_or_create_secret(
        data_dir / "postgres-password"
    )
    return ComposeStack(
        environ=dict(environ) | {f"{PREFIX}ADMIN_KEY": key, "POSTGRES_PASSWORD": password},
        data_dir=data_dir,
        project=environ.get("COMPOSE_PROJECT_NAME") or "exchange",
        admin_key=key,
        admin_key_file=admin_key_file(data_dir, environ),
        endpoints=_endpoints(settings, environ, password),
    )


def _endpoints(settings: Settings, environ: Mapping[str, str], password: str) -> Endpoints:
    kafka_port = environ.get("KAFKA_PORT") or KAFKA_PORT
    postgres_port = environ.get("POSTGRES_PORT") or POSTGRES_PORT
    return Endpoints(
        kafka=f"{LOOPBACK}:{kafka_port}",
        database_url=(
            f"postgresql://exchange:{quote(password, safe='')}@{LOOPBACK}:{postgres_port}/exchange"
        ),
        url=f"http://{LOOPBACK}:{settings.port}",
    )


def wait_until_reached(url: str) -> None:
    """Wait until this machine reaches the ready API. Raises UnavailableError."""
    reason = wait_ready(url, READY_TIMEOUT_S)
    if reason is not None:
        raise UnavailableError(f"the containers are ready, but {url}/readyz says: {reason}")


def banner(stack: ComposeStack) -> str:
    """Addresses, and lines to paste."""
    rows = [
        ("API", stack.endpoints.url),
        ("docs", f"{stack.endpoints.url}/docs"),
        admin_key_row(stack.admin_key_file),
        ("Kafka", f"{stack.endpoints.kafka}, for programs of this machine"),
        (
            "PostgreSQL",
            f"{without_password(stack.endpoints.database_url)}, "
            f"the URL is in {stack.data_dir}/endpoints.json",
        ),
        ("logs", "docker logs -f CONTAINER; docker ps names them"),
    ]
    profiles = stack.environ.get("COMPOSE_PROFILES", "").split(",")
    rows += [
        (name, f"http://{LOOPBACK}:{stack.environ.get(port) or default}")
        for profile, name, port, default in ADDED
        if profile in profiles
    ]
    lines = ["", "The exchange is open, in containers.", ""]
    lines += [f"  {name:<11} {value}" for name, value in rows]
    lines += ["", "Register a broker, place an order, look at the book, cancel (paste as is):", ""]
    lines += shell_lines(stack.endpoints.url, stack.admin_key_file)
    lines += [
        "",
        f"EXCHANGE_DATA_DIR={stack.data_dir} .venv/bin/exchange audit   proves it; the other "
        "commands work alike.",
        "`make down` ends it and keeps the data, `make down VOLUMES=1` removes that too.",
        "",
    ]
    return "\n".join(lines)
