"""Secrets of `exchange run`: in no output, no command line, and only in processes that use them."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from infra.process_table import descendants
from tests.support.run_command import RunCommand, run_command

WEBHOOK_URL = "http://127.0.0.1:9/hooks"
ROLES = ("gateway", "matcher", "sink", "webhooks")


class Processes:
    """Command lines and environments of all processes below `exchange run`, and its own."""

    def __init__(self, pid: int) -> None:
        self.command_lines: dict[int, str] = {}
        self.environments: dict[int, str] = {}
        for each in (pid, *descendants(pid)):
            folder = Path(f"/proc/{each}")
            self.command_lines[each] = (folder / "cmdline").read_text(errors="replace")
            self.environments[each] = (folder / "environ").read_text(errors="replace")

    def environment_of(self, word: str) -> str:
        """The environments of the programs with this word in their command line."""
        found = [pid for pid, line in self.command_lines.items() if word in line.split("\0")]
        assert found, word
        return "\n".join(self.environments[pid] for pid in found)


def secrets_in(data_dir: Path) -> dict[str, str]:
    """The secrets of the data directory by their files."""
    files = [data_dir / "admin-key", data_dir / "postgres" / "password"]
    files += [data_dir / "kafka" / "admin-password", *(data_dir / "access").glob("*")]
    return {str(file): file.read_text().strip() for file in files if file.exists()}


def logged(data_dir: Path) -> str:
    """Everything in the logs of servers and services."""
    files: Iterable[Path] = [*data_dir.rglob("*.log"), *data_dir.rglob("*.log.*")]
    return "\n".join(
        file.read_text(errors="replace")
        for file in files
        # Segments of Kafka have the same suffix; they hold brokers' records by design.
        if "kafka/log/" not in str(file)
    )


def shown(text: str, secrets: dict[str, str]) -> list[str]:
    """The names of the secrets that the text contains."""
    return [name for name, secret in secrets.items() if secret in text]


def use(run: RunCommand, admin_key: str) -> dict[str, str]:
    """Register a broker with a webhook and trade; the broker's secrets."""
    made = run.register(admin_key, webhook_url=WEBHOOK_URL)
    assert run.place(made["api_key"]) == 201
    return {name: made[name] for name in ("api_key", "webhook_secret")}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("access", ["open", "secured"])
def test_run_shows_no_secret_and_passes_on_only_those_that_are_used(
    tmp_path: Path, access: str
) -> None:
    data_dir, log = tmp_path / "data", tmp_path / "run.log"
    here = {"EXCHANGE_DATA_DIR": str(data_dir), "EXCHANGE_ACCESS": access}
    with run_command(log, here) as run:
        secrets = secrets_in(data_dir)
        assert len(secrets) == 2 if access == "open" else len(secrets) > 8
        admin_key = secrets[str(data_dir / "admin-key")]
        broker = use(run, admin_key)
        processes = Processes(run.process.pid)
    every = secrets | broker
    assert shown(run.printed(), every) == []
    assert shown(logged(data_dir), every) == []
    assert shown("\n".join(processes.command_lines.values()), every) == []
    for pid, line in processes.command_lines.items():
        service = next((role for role in ROLES if f"services.{role}" in line.split("\0")), None)
        allowed = {
            "gateway": {"admin-key", "password", "gateway"},
            "sink": {"password", "sink"},
            "webhooks": {"password", "webhooks"},
        }.get(service or "", set())
        found = {Path(name).name for name in shown(processes.environments[pid], every)}
        assert found <= allowed, (line, found)
    assert admin_key in processes.environment_of("services.gateway")
