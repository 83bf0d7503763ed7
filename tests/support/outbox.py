"""An outbox for tests: brokers and trades stored like the sink does, and senders as processes."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from msgspec import Struct, structs

from conformance.api import eventually
from schemas import ids
from schemas.brokers import Broker, WebhookSecret, webhook_secret
from services.runtime.kafka.execution_filter import FilterPosition
from services.sink.migrate import migrate
from services.sink.rows import Rows
from services.sink.store import Move, Store
from tests.support.reader_outcomes import T0, batch, fill, limit

# Long enough for retries after seconds on a busy machine.
WAIT_S = 120.0
SECRET = webhook_secret(b"s" * 32)


class Row(Struct, frozen=True):
    """One stored delivery."""

    webhook_id: str
    status: str
    attempts: int
    last_status: int | None
    last_error: str | None
    due_s: float
    """Seconds until the next attempt."""


class Outbox:
    """A migrated database with the sink's store."""

    def __init__(self, url: str) -> None:
        migrate(url)
        self.url = url
        self._store = Store(url)
        self._store.positions(1)
        self._with_webhook: set[str] = set()
        self._next = 0

    def close(self) -> None:
        """Close the connection."""
        self._store.close()

    def broker(self, url: str | None, secrets: tuple[WebhookSecret, ...] | None = None) -> str:
        """Store a new broker; return its id. `secrets`: by default SECRET if there is a URL."""
        broker_id = str(uuid.uuid4())
        if secrets is None:
            secrets = (WebhookSecret(SECRET),) if url else ()
        self.upsert_broker(Broker(broker_id, "Broker", "0" * 64, T0, url, secrets))
        return broker_id

    def upsert_broker(self, broker: Broker) -> None:
        """Store a broker's record."""
        self._store.upsert_brokers([broker])
        if broker.webhook_url is not None:
            self._with_webhook.add(broker.broker_id)

    def trade(self, buyer: str, seller: str, count: int = 1) -> list[str]:
        """Store `count` trades of one bid with as many asks; return their ids."""
        first = self._next
        self._next += count + 1
        makers = [limit(first + n, seller, "ask", 2, 1000) for n in range(count)]
        at = T0 + first
        fills = tuple(
            structs.replace(
                fill(first + n + 1, first + n, seller, 1000, 1, 1),
                trade_id=ids.trade_id(at, 0, first + count, n),
            )
            for n in range(count)
        )
        taker = limit(
            first + count, buyer, "bid", count, 1000, left=0, closed="filled", fills=fills
        )
        rows = Rows()
        rows.add(batch(*makers, taker, first=first))
        end = FilterPosition(first, 0, first + count + 1)
        self._store.write(rows, {0: Move(first, end)}, self._with_webhook)
        return [one.trade_id for one in fills]

    def rows(self, broker_id: str | None = None) -> list[Row]:
        """All deliveries, or one broker's, sorted by id."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                "SELECT event_id || '-' || kind, status, attempts, last_status, last_error,"
                " extract(epoch FROM next_attempt_at - now())::float8 FROM webhook_deliveries"
                " WHERE broker_id = coalesce(%s, broker_id) ORDER BY event_id, kind",
                [broker_id],
            )
            return [Row(*row) for row in found]

    def statuses(self, broker_id: str | None = None) -> list[str]:
        """Statuses of all deliveries, or of one broker's."""
        return [row.status for row in self.rows(broker_id)]

    def all_are(self, status: str, broker_id: str | None = None) -> bool:
        """True if there are deliveries and all have this status."""
        return set(self.statuses(broker_id)) == {status}

    def failures(self, broker_id: str) -> int:
        """Number of consecutive failures of the broker's receiver."""
        with psycopg.connect(self.url) as connection:
            ((failures,),) = connection.execute(
                "SELECT failures FROM webhook_endpoints WHERE broker_id = %s", [broker_id]
            ).fetchall()
            return int(failures)

    def execute(self, statement: str, *parameters: object) -> None:
        """Execute a statement directly on the database."""
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode(), parameters)


def start_sender(url: str, changes: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start `python -m services.webhooks` with loopback receivers allowed."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("EXCHANGE_")}
    environ |= {
        "EXCHANGE_DATABASE_URL": url,
        "EXCHANGE_WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8",
        "EXCHANGE_WEBHOOK_RETRIES": "seconds",
    }
    command = [sys.executable, "-m", "services.webhooks"]
    return subprocess.Popen(command, env=environ | dict(changes or {}))


def holds_sigterm(pid: int) -> bool:
    """Return whether a process blocks SIGTERM, or has installed its own handler of it."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    masks = [line for line in status.splitlines() if line.startswith(("SigBlk:", "SigCgt:"))]
    return any(int(mask.split()[1], 16) >> signal.SIGTERM - 1 & 1 for mask in masks)


@contextmanager
def running_sender(url: str, changes: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run a sender during the context. SIGTERM at its end must give exit code 0."""
    process = start_sender(url, changes)
    try:
        # Before Python runs its first line, SIGTERM ends the process.
        eventually("a sender that holds SIGTERM", lambda: holds_sigterm(process.pid), WAIT_S)
        yield
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
