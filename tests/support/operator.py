"""What an operator types: the `exchange` command and single services, on a running exchange."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from conformance.api import Api, eventually
from infra.ports import free_port
from infra.process import ChildProcess
from services.local.child_environment import environment
from tests.support.exchange import Exchange


def environ_of(exchange: Exchange, **changes: str) -> dict[str, str]:
    """The whole environment of a program on this exchange's servers; empty text: not set."""
    settings = structs.replace(exchange.stack.operator, admin_key=exchange.admin_key)
    return environment(os.environ, settings, changes)


def typed(exchange: Exchange, *words: str) -> subprocess.CompletedProcess[str]:
    """`exchange ...`, to its end."""
    command = [sys.executable, "-m", "services.cli", *words]
    return subprocess.run(
        command,
        env=environ_of(exchange),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def ended(module: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A service that ends by itself."""
    command = [sys.executable, "-m", module]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=100, check=False
    )


@contextmanager
def edge_service(exchange: Exchange, module: str, log_file: Path, **changes: str) -> Iterator[Api]:
    """Another edge on this exchange's log, ready; calls without a key."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    process = ChildProcess(
        [sys.executable, "-m", module],
        log_file=log_file,
        env=environ_of(exchange, EXCHANGE_PORT=str(port), **changes),
    )
    process.start()
    try:
        eventually(f"{module} is ready", lambda: _ready(Api(url, None)), 60.0)
        yield Api(url, None)
    finally:
        process.stop()


def _ready(api: Api) -> bool:
    try:
        return api.get("/readyz").status == 200
    except OSError:
        return False
