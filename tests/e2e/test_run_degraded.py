"""`exchange run` while its helpers cannot start: orders are served, and the operator sees why."""

from pathlib import Path

import psycopg
import pytest

from conformance.api import eventually
from services.local.data_dir import read_endpoints
from tests.support.run_command import run_command

# Pauses between restarts grow to 30 s.
RECOVERY_TIMEOUT_S = 60.0


@pytest.mark.timeout(400)
def test_run_serves_orders_and_names_the_remedy_while_its_helpers_cannot_start(
    tmp_path: Path,
) -> None:
    data_dir, log = tmp_path / "data", tmp_path / "run.log"
    newer = "INSERT INTO schema_migrations (version, name, checksum) VALUES (999, 'later', '')"
    with run_command(log, {"EXCHANGE_DATA_DIR": str(data_dir)}) as run:
        assert run.degraded() == {}
        key = run.register((data_dir / "admin-key").read_text().strip())["api_key"]
        found = read_endpoints(data_dir)
        assert found is not None
        url = found.database_url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(newer)

    # 1. Tables of a later version for the sink, a bad setting for the webhook sender.
    here = {"EXCHANGE_DATA_DIR": str(data_dir), "EXCHANGE_WEBHOOK_ALLOW_CIDRS": "nonsense"}
    with run_command(log, here) as run:
        banner = run.printed()
        assert "DEGRADED: orders are served" in banner
        assert "the database is newer than this program" in banner
        assert "remedy: run: python -m services.sink --migrate" in banner
        assert "webhooks    ended with exit code 2; remedy: correct the setting" in banner
        assert set(run.degraded()) == {"sink", "webhooks"}
        assert all("remedy: " in detail for detail in run.degraded().values())
        deaths = [f"next start in {pause} s" for pause in ("0.5", "1.0", "2.0", "4.0", "8.0")]
        eventually("pauses grow", lambda: all(d in run.printed() for d in deaths), 60.0)
        assert run.place(key) == 201
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DELETE FROM schema_migrations WHERE version = 999")
        eventually("sink is back", lambda: set(run.degraded()) == {"webhooks"}, RECOVERY_TIMEOUT_S)
        eventually("it is printed", lambda: "sink works again" in run.printed())

    # 2. A PostgreSQL that does not start.
    control = data_dir / "postgres" / "cluster" / "global" / "pg_control"
    aside = control.with_name("pg_control.aside")
    control.rename(aside)
    with run_command(log, {"EXCHANGE_DATA_DIR": str(data_dir)}) as run:
        assert {"PostgreSQL", "sink"} <= set(run.degraded())
        assert "PostgreSQL  does not start" in run.printed()
        assert run.place(key) == 201
        aside.rename(control)
        eventually("all are back", lambda: run.degraded() == {}, RECOVERY_TIMEOUT_S)
    assert not (data_dir / "degraded.json").exists()
