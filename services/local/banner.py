"""Text that `exchange run` prints when all is ready: addresses, and lines to paste. Pure.

It contains no secret, only the files that do.
"""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from services.runtime.health import Degraded

_JSON = "-H 'Content-Type: application/json'"


class Running(Struct, frozen=True):
    """Facts about a running exchange for its operator."""

    url: str
    metrics_port: int
    """The gateway's; 0: none."""
    admin_key_file: Path | None
    """None: the operator's shell has the key, as EXCHANGE_ADMIN_KEY."""
    durability: str
    data_dir: Path
    log_dir: Path
    bootstrap: str
    database_url: str
    """Without its password."""
    access_dir: Path | None = None
    """Directory with the roles' passwords; None without access control."""
    degraded: Sequence[Degraded] = ()
    """Helpers that are down."""


def shell_lines(url: str, admin_key_file: Path | None) -> Iterator[str]:
    """Lines for a POSIX shell: register, order, book, cancel, with curl and sed only.

    No key is in them or in a command line: curl reads keys from its standard input.
    """
    admin_key = (
        "$EXCHANGE_ADMIN_KEY"
        if admin_key_file is None
        else f"$(cat {shlex.quote(str(admin_key_file))})"
    )
    yield (
        """call() { printf 'header = "Authorization: Bearer %s"\\n' "$1" | { shift; """
        """curl -s --noproxy '*' -K - -H 'Content-Type: application/json' "$@"; }; }"""
    )
    yield (
        f'KEY=$(call "{admin_key}" {url}/register '
        """-d '{"name":"First Broker"}' | sed 's/.*"api_key":"\\([^"]*\\)".*/\\1/'); """
        """echo "api key: $KEY\""""
    )
    yield (
        f'ORDER=$(call "$KEY" {url}/orders '
        """-d '{"document_number":"12345678909","side":"bid","symbol":"PETR4","price":3712,"""
        """"quantity":100}'); echo "$ORDER"; """
        """ORDER_ID=$(echo "$ORDER" | sed 's/.*"order_id":"\\([^"]*\\)".*/\\1/')"""
    )
    yield f"""call "$KEY" {url}/stocks/PETR4/book; echo"""
    yield (
        f"""call "$KEY" -o /dev/null -w '%{{http_code}}\\n' -X POST {url}/orders/$ORDER_ID/cancel"""
    )


def admin_key_row(admin_key_file: Path | None) -> tuple[str, str]:
    """The place of the key; the key itself would stay in terminals and their logs."""
    if admin_key_file is None:
        return "admin key", "the value of EXCHANGE_ADMIN_KEY"
    return "admin key", f"in {admin_key_file}"


def banner(running: Running) -> str:
    """The whole text."""
    promise = {
        "fsync": "fsync: an order is on disk before it is confirmed",
        "replicated": "replicated: an order is on two brokers before it is confirmed",
        "process": "process: an order survives any process, not the machine",
    }
    rows = [
        ("page", f"{running.url}/ (the pipeline: {running.url}/#/operations)"),
        ("API", running.url),
        ("docs", f"{running.url}/docs"),
        ("metrics", f"http://127.0.0.1:{running.metrics_port}/metrics"),
        admin_key_row(running.admin_key_file),
        ("durability", promise.get(running.durability, running.durability)),
        ("data", str(running.data_dir)),
        ("logs", str(running.log_dir)),
        ("Kafka", running.bootstrap),
        ("PostgreSQL", f"{running.database_url}, the URL is in {running.data_dir}/endpoints.json"),
    ]
    if not running.metrics_port:
        rows = [row for row in rows if row[0] != "metrics"]
    if running.access_dir is not None:
        rows.append(("passwords", f"{running.access_dir}, by role: exchange access show"))
    lines = ["", "The exchange is open.", ""]
    if running.degraded:
        lines[1] = "The exchange is open, DEGRADED: orders are served, these helpers are down:"
        lines += [f"  {helper.name:<11} {helper.detail}" for helper in running.degraded]
        lines += ["  They are started again and again; /readyz lists those that are down.", ""]
    lines += [f"  {name:<11} {value}" for name, value in rows]
    lines += ["", "Register a broker, place an order, look at the book, cancel (paste as is):", ""]
    lines += shell_lines(running.url, running.admin_key_file)
    lines += ["", "Ctrl-C stops everything.", ""]
    return "\n".join(lines)
