"""Addresses and paths of `exchange run`, and its one line when it cannot start."""

import socket
import sys
from pathlib import Path

import pytest

from infra.ports import free_port, listen_error, url_of
from infra.process import ChildProcess
from infra.servers import LocalServers
from services.access.credentials import with_absolute_files
from services.local.exchange import LocalExchange, running_exchange
from services.runtime.errors import (
    BusyError,
    ExchangeError,
    SettingsError,
    UnavailableError,
)
from services.runtime.settings import Settings

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - to test the setting


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost:8000"),
        ("::1", "http://[::1]:8000"),
        (EVERY_ADDRESS, "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
    ],
)
def test_url_of_an_address_is_usable_by_a_client(host: str, url: str) -> None:
    assert url_of(host, 8000) == url


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::", EVERY_ADDRESS])
def test_run_with_a_port_in_use_on_its_address_is_refused(tmp_path: Path, host: str) -> None:
    if ":" in host and listen_error(0, "::1") is not None:
        pytest.skip("this machine has no IPv6")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, free_port()), family=family) as taken:
        settings = Settings(host=host, port=taken.getsockname()[1])
        assert isinstance(refusal(tmp_path, settings), BusyError)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "::g"])
def test_run_with_an_address_of_another_machine_is_refused_with_the_setting(
    tmp_path: Path, host: str
) -> None:
    error = refusal(tmp_path, Settings(host=host, port=free_port()))
    assert isinstance(error, SettingsError)
    assert f"EXCHANGE_HOST={host}" in str(error)
    assert "\n" not in str(error)


def test_run_with_an_unusable_database_url_is_refused_without_showing_it(tmp_path: Path) -> None:
    error = refusal(tmp_path, Settings(database_url="postgresql+psycopg://u:s3cret@h/d", port=0))
    assert isinstance(error, SettingsError)
    assert "s3cret" not in str(error)


def refusal(data_dir: Path, settings: Settings) -> ExchangeError:
    with pytest.raises(ExchangeError) as caught, running_exchange(data_dir, settings):
        pass
    return caught.value


def test_files_of_a_database_url_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = "postgresql://u@h/d?sslmode=verify-full&sslrootcert=ca.pem&sslkey=/k.pem"
    made = with_absolute_files(url)
    assert f"sslrootcert={tmp_path}/ca.pem" in made
    assert "sslkey=/k.pem" in made
    for unchanged in ("", "postgresql://u:p@h/d", "postgresql://h/d?sslrootcert=system"):
        assert with_absolute_files(unchanged) == unchanged


def test_run_whose_data_directory_is_a_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.touch()
    error = refusal(file, Settings(port=0))
    assert isinstance(error, BusyError)
    assert str(error) == f"cannot use {file}: File exists; correct it, or set EXCHANGE_DATA_DIR"


def test_service_that_does_not_become_ready_is_reported_in_one_line(tmp_path: Path) -> None:
    exchange = LocalExchange(
        Settings(data_dir=tmp_path, port=free_port()), LocalServers(tmp_path, kafka="k:1")
    )
    program = "print('gateway: EXCHANGE_X is bad; correct it'); raise SystemExit(2)"
    child = ChildProcess([sys.executable, "-c", program], log_file=tmp_path / "gateway.log")
    exchange.services["gateway"] = child
    child.start()
    with pytest.raises(UnavailableError) as caught:
        exchange.wait_ready("gateway")
    assert str(caught.value) == (
        "gateway ended with exit code 2 before it was ready: EXCHANGE_X is bad; correct it; "
        f"its log is {child.log_file}"
    )
