"""Runs of the `exchange` command and of single services on a running exchange."""

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
    """Whole environment of a program on this exchange's servers; an empty change unsets."""
    settings = structs.replace(exchange.stack.operator, admin_key=exchange.admin_key)
    return environment(os.environ, settings, changes)


def run_exchange_command(exchange: Exchange, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `exchange ...` and wait for its end."""
    command = [sys.executable, "-m", "services.cli", *words]
    return subprocess.run(
        command,
        env=environ_of(exchange),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def run_service(module: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a service that ends by itself, and wait for its end."""
    command = [sys.executable, "-m", module]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=100, check=False
    )


@contextmanager
def edge_service(exchange: Exchange, module: str, log_file: Path, **changes: str) -> Iterator[Api]:
    """Run another HTTP service on this exchange; yield a client without a key once it is ready."""
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
