"""The admin key's file, the addresses of a running exchange, the environment of its services."""

import stat
from pathlib import Path

import pytest

from infra.errors import ServerFailedError
from services.local.banner import Running, banner, shell_lines
from services.local.child_environment import environment
from services.local.data_dir import (
    Endpoints,
    admin_key,
    admin_key_file,
    forget_endpoints,
    with_endpoints,
    write_endpoints,
)
from services.runtime.health import Degraded
from services.runtime.settings import Settings, read_settings

KEY_FILE = Path("/the key/file")
HERE = Endpoints("127.0.0.1:9", "postgresql://u:p@h/d", "http://127.0.0.1:8000")


def test_admin_key_is_generated_once_and_private(tmp_path: Path) -> None:
    key = admin_key(tmp_path / "new")
    assert len(key) >= 32
    assert admin_key(tmp_path / "new") == key
    mode = (tmp_path / "new" / "admin-key").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(
    ("environ", "file"),
    [
        ({}, "/data/admin-key"),
        ({"EXCHANGE_ADMIN_KEY": "0123456789abcdef"}, None),
        ({"EXCHANGE_ADMIN_KEY_FILE": "/run/secrets/key"}, "/run/secrets/key"),
    ],
)
def test_admin_key_file_is_that_of_the_settings_or_data_directory(
    environ: dict[str, str], file: str | None
) -> None:
    assert admin_key_file(Path("/data"), environ) == (None if file is None else Path(file))


def test_empty_admin_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "admin-key").touch()
    with pytest.raises(ServerFailedError, match="empty"):
        admin_key(tmp_path)


def test_endpoints_fill_in_missing_settings(tmp_path: Path) -> None:
    write_endpoints(tmp_path, HERE)
    assert stat.S_IMODE((tmp_path / "endpoints.json").stat().st_mode) == 0o600
    found = with_endpoints(Settings(data_dir=tmp_path, kafka="other:1"))
    assert (found.kafka, found.database_url) == ("other:1", HERE.database_url)


def test_endpoints_of_a_stopped_exchange_are_ignored(tmp_path: Path) -> None:
    write_endpoints(tmp_path, HERE)
    forget_endpoints(tmp_path)
    forget_endpoints(tmp_path)
    assert with_endpoints(Settings(data_dir=tmp_path)).kafka == ""


def test_unreadable_endpoints_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text("{")
    assert with_endpoints(Settings(data_dir=tmp_path)).kafka == ""


def test_environment_gives_a_service_exactly_these_settings() -> None:
    settings = Settings(kafka="k:1", port=8123, admin_key="0123456789abcdef")
    base = {"PATH": "/bin", "EXCHANGE_PORT": "1", "EXCHANGE_KAFKA": "x", "PYTHONPATH": "/lib"}
    made = environment(base, settings, {"EXCHANGE_METRICS_PORT": "7"})
    assert made["PATH"] == "/bin"
    assert made["PYTHONPATH"].endswith(":/lib")
    given = {name: text for name, text in made.items() if name.startswith("EXCHANGE_")}
    read = read_settings(given)
    assert (read.kafka, read.port, read.metrics_port) == ("k:1", 8123, 7)
    assert read.admin_key == settings.admin_key
    assert read.durability is None


def test_environment_without_a_python_path_has_the_projects_only() -> None:
    assert ":" not in environment({}, Settings(), {})["PYTHONPATH"]


def test_banner_contains_everything_an_operator_needs() -> None:
    text = banner(
        Running("http://h:1", 9, KEY_FILE, "fsync", Path("/d"), Path("/d/logs"), "k:9", "pg://")
    )
    for wanted in (
        "http://h:1/docs",
        "admin key   in /the key/file",
        "on disk before",
        "/d/logs",
        "k:9",
        "pg://",
        "127.0.0.1:9/metrics",
    ):
        assert wanted in text
    for line in shell_lines("http://h:1", KEY_FILE):
        assert line in text


def test_banner_names_helpers_that_are_down_with_their_remedy() -> None:
    down = [Degraded("sink", "ended with exit code 7; remedy: migrate")]
    text = banner(
        Running(
            "http://h:1", 0, None, "fsync", Path("/d"), Path("/l"), "k:9", "pg://", degraded=down
        )
    )
    assert '"$EXCHANGE_ADMIN_KEY"' in text
    assert "DEGRADED: orders are served" in text
    assert "sink        ended with exit code 7; remedy: migrate" in text
