"""Text that `exchange run` prints when all is ready: addresses, and lines to paste. Pure."""

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
    admin_key: str
    durability: str
    data_dir: Path
    log_dir: Path
    bootstrap: str
    database_url: str
    access_dir: Path | None = None
    """Directory with the roles' passwords; None without access control."""
    degraded: Sequence[Degraded] = ()
    """Helpers that are down."""


def shell_lines(url: str, admin_key: str) -> Iterator[str]:
    """Lines for a POSIX shell: register, order, book, cancel, with curl and sed only."""
    yield (
        f"KEY=$(curl -s -X POST {url}/register -H 'Authorization: Bearer {admin_key}' {_JSON} "
        """-d '{"name":"First Broker"}' | sed 's/.*"api_key":"\\([^"]*\\)".*/\\1/'); """
        """echo "api key: $KEY\""""
    )
    yield (
        f'ORDER=$(curl -s -X POST {url}/orders -H "Authorization: Bearer $KEY" {_JSON} '
        """-d '{"document_number":"12345678909","side":"bid","symbol":"PETR4","price":3712,"""
        """"quantity":100}'); echo "$ORDER"; """
        """ORDER_ID=$(echo "$ORDER" | sed 's/.*"order_id":"\\([^"]*\\)".*/\\1/')"""
    )
    yield f"""curl -s {url}/stocks/PETR4/book -H "Authorization: Bearer $KEY"; echo"""
    yield (
        f"curl -s -o /dev/null -w '%{{http_code}}\\n' -X POST {url}/orders/$ORDER_ID/cancel "
        """-H "Authorization: Bearer $KEY\""""
    )


def banner(running: Running) -> str:
    """The whole text."""
    promise = {
        "fsync": "fsync: an order is on disk before it is confirmed",
        "replicated": "replicated: an order is on two brokers before it is confirmed",
        "process": "process: an order survives any process, not the machine",
    }
    rows = [
        ("API", running.url),
        ("docs", f"{running.url}/docs"),
        ("metrics", f"http://127.0.0.1:{running.metrics_port}/metrics"),
        ("admin key", running.admin_key),
        ("durability", promise.get(running.durability, running.durability)),
        ("data", str(running.data_dir)),
        ("logs", str(running.log_dir)),
        ("Kafka", running.bootstrap),
        ("PostgreSQL", running.database_url),
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
    lines += shell_lines(running.url, running.admin_key)
    lines += ["", "Ctrl-C stops everything.", ""]
    return "\n".join(lines)
