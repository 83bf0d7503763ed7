"""`exchange run` while its helpers cannot start: orders are served, and the operator sees why."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from conformance.api import Api, eventually
from infra.ports import free_port
from services.local.data_dir import read_endpoints

LAST_LINE = "Ctrl-C stops everything."
# Pauses between restarts grow to 30 s.
RECOVERY_TIMEOUT_S = 60.0


class Run:
    """`exchange run` in a data directory; what it prints goes to a file."""

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.port = free_port()
        self.log = data_dir.with_name("run.log")
        environ = {k: text for k, text in os.environ.items() if not k.startswith("EXCHANGE_")}
        environ |= {"EXCHANGE_PORT": str(self.port), "EXCHANGE_DATA_DIR": str(data_dir)}
        command = [sys.executable, "-m", "services.cli", "run", "--profile", "short"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, env=environ | variables, stdout=log, stderr=subprocess.STDOUT
            )

    def printed(self) -> str:
        """Everything so far."""
        return self.log.read_text()

    def degraded(self) -> dict[str, str]:
        """The helpers that `/readyz` lists as down; its status must be 200."""
        answer = Api(f"http://127.0.0.1:{self.port}", None).get("/readyz")
        assert answer.status == 200, answer
        return {helper["name"]: helper["detail"] for helper in answer.body["degraded"]}

    def place(self, admin_key: str) -> None:
        """Register a broker and place an order, which must be matched."""
        url = f"http://127.0.0.1:{self.port}"
        made = Api(url, admin_key).call("POST", "/register", {"name": "Broker"})
        placed = Api(url, made.body["api_key"]).place("bid", "PETR4", 1, 100)
        assert placed.status == 201, placed


@contextmanager
def running(data_dir: Path, **variables: str) -> Iterator[Run]:
    """An exchange that has printed its banner; stopped by SIGTERM, which must give 0."""
    run = Run(data_dir, **variables)
    try:

        def opened() -> bool:
            assert run.process.poll() is None, run.printed()
            return LAST_LINE in run.printed()

        eventually("open", opened, 100.0)
        yield run
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(60) == 0
    finally:
        run.process.kill()
        run.process.wait()


@pytest.mark.timeout(400)
def test_run_serves_orders_and_names_the_remedy_while_its_helpers_cannot_start(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    newer = "INSERT INTO schema_migrations (version, name, checksum) VALUES (999, 'later', '')"
    with running(data_dir) as run:
        assert run.degraded() == {}
        found = read_endpoints(data_dir)
        assert found is not None
        url = found.database_url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(newer)
    admin_key = (data_dir / "admin-key").read_text().strip()

    # 1. Tables of a later version for the sink, a bad setting for the webhook sender.
    with running(data_dir, EXCHANGE_WEBHOOK_ALLOW_CIDRS="nonsense") as run:
        banner = run.printed()
        assert "DEGRADED: orders are served" in banner
        assert "the database is newer than this program" in banner
        assert "webhooks    ended with exit code 2; remedy: correct the setting" in banner
        assert set(run.degraded()) == {"sink", "webhooks"}
        deaths = [f"next start in {pause} s" for pause in ("0.5", "1.0", "2.0", "4.0", "8.0")]
        eventually("pauses grow", lambda: all(d in run.printed() for d in deaths), 60.0)
        run.place(admin_key)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DELETE FROM schema_migrations WHERE version = 999")
        eventually("sink is back", lambda: set(run.degraded()) == {"webhooks"}, RECOVERY_TIMEOUT_S)
        assert "sink works again" in run.printed()

    # 2. A PostgreSQL that does not start.
    control = data_dir / "postgres" / "cluster" / "global" / "pg_control"
    aside = control.with_name("pg_control.aside")
    control.rename(aside)
    with running(data_dir) as run:
        assert {"PostgreSQL", "sink"} <= set(run.degraded())
        assert "PostgreSQL  does not start" in run.printed()
        run.place(admin_key)
        aside.rename(control)
        eventually("all are back", lambda: run.degraded() == {}, RECOVERY_TIMEOUT_S)
    assert not (data_dir / "degraded.json").exists()
    assert json.loads((data_dir / "postgres" / "port").read_text())
