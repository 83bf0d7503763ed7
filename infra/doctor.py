"""Lists what this machine lacks to run an exchange, and how to install it. Changes nothing."""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.errors import InfraError
from infra.java import find_java
from infra.kafka_jars import HOW_TO_INSTALL, default_cache_dir, find_maven, jars_present
from infra.ports import is_free
from infra.postgres import postgres_binaries

PYTHON_MIN = (3, 11)
# The jars and the AOT cache take 120 MiB, a cluster 40; the rest is for a day's log.
DISK_FREE_MIB_MIN = 2048


@dataclass(frozen=True)
class Finding:
    """`remedy` is empty when `ok`."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def diagnose(
    data_dir: Path,
    *,
    port: int = 8000,
    cache_dir: Path | None = None,
    search_path: str | None = None,
) -> list[Finding]:
    """Every finding, good ones too. `search_path` replaces PATH for Java and Maven."""
    cache = cache_dir or default_cache_dir()
    return [
        _python(),
        _tool("Java", lambda: "{1} ({0})".format(*find_java(search_path))),
        _maven(cache, search_path),
        _tool("PostgreSQL", lambda: str(postgres_binaries())),
        _port(port),
        _disk(data_dir),
        _user(),
    ]


def _python() -> Finding:
    wanted = ".".join(map(str, PYTHON_MIN))
    remedy = f"Install Python {wanted} or newer"
    ok = sys.version_info >= PYTHON_MIN
    return Finding("Python", ok, platform.python_version(), "" if ok else remedy)


def _tool(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except InfraError as error:
        return Finding(name, False, "not usable", str(error))


def _maven(cache: Path, search_path: str | None) -> Finding:
    """Maven is only needed as long as the jars are not there."""
    if jars_present(cache):
        return Finding("Kafka's jars", True, f"in {cache}")
    try:
        return Finding("Kafka's jars", True, f"to be fetched once by {find_maven(search_path)}")
    except InfraError:
        return Finding("Kafka's jars", False, "no jars and no Maven to fetch them", HOW_TO_INSTALL)


def _port(port: int) -> Finding:
    if is_free(port):
        return Finding(f"Port {port}", True, "free")
    remedy = f"Stop what listens on port {port}, or choose another with EXCHANGE_PORT"
    return Finding(f"Port {port}", False, "taken", remedy)


def _disk(data_dir: Path) -> Finding:
    nearest = next(folder for folder in (data_dir, *data_dir.absolute().parents) if folder.exists())
    free_mib = shutil.disk_usage(nearest).free // 2**20
    ok = free_mib >= DISK_FREE_MIB_MIN
    remedy = f"Make room, or choose another place with EXCHANGE_DATA_DIR ({nearest} is too full)"
    return Finding("Disk", ok, f"{free_mib} MiB free", "" if ok else remedy)


def _user() -> Finding:
    if os.geteuid() != 0:
        return Finding("User", True, "an ordinary user")
    return Finding("User", True, "root: PostgreSQL runs in a user namespace or as a system account")
