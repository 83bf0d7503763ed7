"""`make up` and `make down`: the containers of infra/compose.yaml, with keys that are made once."""

import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import typer
from msgspec import Struct

from infra.compose import ComposeProject
from infra.ports import LOOPBACK
from infra.secrets import kept_secret
from services.cli.banner import shell_lines
from services.cli.data_dir import Endpoints, admin_key, forget_endpoints, write_endpoints
from services.cli.settings import readable_errors
from services.runtime.errors import UnavailableError
from services.runtime.settings import PREFIX, Settings, read_settings

# What compose.yaml takes beside the settings; the only one of them that is named like a setting.
IMAGE: Final = "EXCHANGE_IMAGE"
KAFKA_PORT = "9094"
POSTGRES_PORT = "15432"
# What a profile adds, and where it is published unless a variable says otherwise.
ADDED: Final = (
    ("apart", "apart", "APART_PORT", "8001"),
    ("monitoring", "Prometheus", "PROMETHEUS_PORT", "9090"),
    ("monitoring", "Grafana", "GRAFANA_PORT", "3000"),
)
# The containers are ready by then: only the way from this machine to them is left to be asked.
READY_TIMEOUT_S = 20.0
INTERRUPTED = 130

app = typer.Typer(
    name="python -m services.cli.containers",
    help="The exchange in containers. What compose.yaml interpolates are variables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Stack(Struct, frozen=True):
    """What this machine knows of the containers: their keys, and where they are published."""

    environ: dict[str, str]
    """The whole environment for Compose, keys included."""
    data_dir: Path
    project: str
    admin_key: str
    endpoints: Endpoints


def stack_of(environ: Mapping[str, str]) -> Stack:
    """From the variables; a key that is not set is the one in the data directory, or a new one.

    Raises SettingsError.
    """
    settings = read_settings({name: text for name, text in environ.items() if name != IMAGE})
    data_dir = settings.data_dir / "containers"
    key = settings.admin_key or admin_key(data_dir)
    password = environ.get("POSTGRES_PASSWORD") or kept_secret(data_dir / "postgres-password")
    return Stack(
        environ=dict(environ) | {f"{PREFIX}ADMIN_KEY": key, "POSTGRES_PASSWORD": password},
        data_dir=data_dir,
        project=environ.get("COMPOSE_PROJECT_NAME") or "exchange",
        admin_key=key,
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


@app.command()
def up() -> None:
    """Build the image (unless EXCHANGE_IMAGE names one), start all, wait until all are ready."""
    with readable_errors():
        stack = stack_of(os.environ)
        project = ComposeProject(stack.project, stack.environ)
        try:
            if not os.environ.get(IMAGE):
                project.build()
            project.up(lambda line: typer.echo(line, err=True))
            _wait_until_reached(stack.endpoints.url)
        except KeyboardInterrupt:
            typer.echo("interrupted; what has started goes on, `make down` ends it", err=True)
            raise typer.Exit(INTERRUPTED) from None
        write_endpoints(stack.data_dir, stack.endpoints)
        typer.echo(banner(stack))


@app.command()
def down(
    *,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Also remove the data: log, database, metrics.")
    ] = False,
) -> None:
    """End all; the data stays in its volumes for the next `up`."""
    with readable_errors():
        stack = stack_of(os.environ)
        ComposeProject(stack.project, stack.environ).down(volumes=volumes)
        forget_endpoints(stack.data_dir)


def _wait_until_reached(url: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            # Anything but 200 is an error of this call.
            with urllib.request.urlopen(f"{url}/readyz", timeout=2.0):  # noqa: S310 - our own
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() >= deadline:
                raise UnavailableError(
                    f"the containers are ready, but {url}/readyz says: {error}"
                ) from error
        time.sleep(0.2)


def banner(stack: Stack) -> str:
    """Where things are, and lines to paste."""
    rows = [
        ("API", stack.endpoints.url),
        ("docs", f"{stack.endpoints.url}/docs"),
        ("admin key", stack.admin_key),
        ("Kafka", f"{stack.endpoints.kafka}, for programs of this machine"),
        ("PostgreSQL", stack.endpoints.database_url),
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
    lines += shell_lines(stack.endpoints.url, stack.admin_key)
    lines += [
        "",
        f"EXCHANGE_DATA_DIR={stack.data_dir} .venv/bin/exchange audit   proves it; the other "
        "commands work alike.",
        "`make down` ends it and keeps the data, `make down VOLUMES=1` removes that too.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    app()
