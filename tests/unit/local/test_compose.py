"""Environment that `make up` passes to Compose, and its banner for the operator."""

import stat
from pathlib import Path

import pytest

from services.local.banner import shell_lines
from services.local.compose import banner, stack_of
from services.runtime.errors import SettingsError


def environ(data_dir: Path, **more: str) -> dict[str, str]:
    return {"PATH": "/bin", "EXCHANGE_DATA_DIR": str(data_dir)} | more


def test_keys_are_generated_once_and_private(tmp_path: Path) -> None:
    first = stack_of(environ(tmp_path))
    assert stack_of(environ(tmp_path)) == first
    assert first.environ["EXCHANGE_ADMIN_KEY"] == first.admin_key
    assert len(first.environ["POSTGRES_PASSWORD"]) >= 32
    assert first.environ["PATH"] == "/bin"
    for name in ("admin-key", "postgres-password"):
        mode = (tmp_path / "containers" / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600


def test_given_keys_are_used_and_none_is_generated(tmp_path: Path) -> None:
    given = {"EXCHANGE_ADMIN_KEY": "0123456789abcdef", "POSTGRES_PASSWORD": "it's"}
    stack = stack_of(environ(tmp_path, **given))
    assert stack.environ.items() >= given.items()
    assert stack.endpoints.database_url.startswith("postgresql://exchange:it%27s@127.0.0.1:")
    assert list(tmp_path.iterdir()) == []


def test_invalid_gateway_setting_is_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match="EXCHANGE_ADMIN_KEY"):
        stack_of(environ(tmp_path, EXCHANGE_ADMIN_KEY="short"))
    with pytest.raises(SettingsError, match="unknown setting EXCHANGE_IMGAE"):
        stack_of(environ(tmp_path, EXCHANGE_IMGAE="x"))


def test_image_and_ports_are_passed_as_variables(tmp_path: Path) -> None:
    stack = stack_of(
        environ(
            tmp_path,
            EXCHANGE_IMAGE="mine:1",
            EXCHANGE_PORT="8123",
            KAFKA_PORT="9999",
            POSTGRES_PORT="5555",
            COMPOSE_PROJECT_NAME="second",
        )
    )
    assert stack.project == "second"
    assert stack.endpoints.url == "http://127.0.0.1:8123"
    assert stack.endpoints.kafka == "127.0.0.1:9999"
    assert stack.endpoints.database_url.endswith("@127.0.0.1:5555/exchange")


def test_banner_contains_everything_an_operator_needs(tmp_path: Path) -> None:
    stack = stack_of(environ(tmp_path))
    text = banner(stack)
    file = tmp_path / "containers" / "admin-key"
    for wanted in (f"{stack.endpoints.url}/docs", str(file), "127.0.0.1:9094", "make down"):
        assert wanted in text
    for line in shell_lines(stack.endpoints.url, file):
        assert line in text
    for secret in (stack.admin_key, stack.environ["POSTGRES_PASSWORD"]):
        assert secret not in text
    assert f"EXCHANGE_DATA_DIR={tmp_path / 'containers'} " in text


def test_banner_contains_the_addresses_of_a_profile(tmp_path: Path) -> None:
    assert "Grafana" not in banner(stack_of(environ(tmp_path)))
    added = {"COMPOSE_PROFILES": "apart,monitoring", "GRAFANA_PORT": "3001"}
    text = banner(stack_of(environ(tmp_path, **added)))
    for wanted in ("http://127.0.0.1:8001", "http://127.0.0.1:9090", "http://127.0.0.1:3001"):
        assert wanted in text
