"""The health address of a service, and the health check of a container."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infra.ports import LOOPBACK, free_port, listen_error
from services.runtime import health as health_module
from services.runtime.errors import UnavailableError
from services.runtime.health import PROBES_MAX, Check, Health, MetricsPage, health_answered
from services.runtime.healthcheck import address_of
from services.runtime.metrics import CONNECTIONS
from services.runtime.readiness import DIRECT
from services.runtime.settings import Settings


def probed(port: int) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "services.runtime.healthcheck"],
        env={"EXCHANGE_METRICS_PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("ready", [True, False])
def test_probe_reports_readiness_and_its_reason(ready: bool) -> None:
    health = Health()
    health.add("replay", lambda: Check(ready, "7 commands left"))
    settings = Settings(metrics_port=free_port())
    with health_answered(settings, health) as port:
        code, line = probed(port)
    assert code == (0 if ready else 1)
    assert "7 commands left" in line


def test_probe_without_a_service_fails_with_one_line() -> None:
    code, line = probed(port := free_port())
    assert code == 1
    assert line.startswith(f"nothing answers on port {port}: ")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, ("127.0.0.1", 8000)),
        ({"PORT": "9000"}, ("127.0.0.1", 9000)),
        ({"PORT": "9000", "METRICS_PORT": "9100"}, ("127.0.0.1", 9100)),
        ({"PORT": "9000", "METRICS_PORT": "0"}, ("127.0.0.1", 9000)),
        ({"PORT": "0", "METRICS_PORT": "0"}, ("127.0.0.1", 8000)),
        ({"PORT": "", "METRICS_PORT": "", "HOST": ""}, ("127.0.0.1", 8000)),
        ({"HOST": "0.0.0.0"}, ("127.0.0.1", 8000)),  # noqa: S104 - to test the setting
        ({"HOST": "::"}, ("::1", 8000)),
        ({"HOST": "::1", "METRICS_HOST": "127.0.0.2"}, ("::1", 8000)),
        ({"HOST": "::1", "METRICS_HOST": "127.0.0.2", "METRICS_PORT": "1"}, ("127.0.0.2", 1)),
    ],
)
def test_probe_uses_address_and_port_of_the_settings(
    environ: dict[str, str], address: tuple[str, int]
) -> None:
    assert address_of({f"EXCHANGE_{name}": text for name, text in environ.items()}) == address


def test_health_server_listens_on_the_address_of_the_settings() -> None:
    settings = Settings(metrics_host="127.0.0.2", metrics_port=free_port())
    with health_answered(settings, Health()) as port:
        with DIRECT.open(f"http://127.0.0.2:{port}/livez") as answer:
            assert answer.status == 200
        assert probed(port)[0] == 1


def test_health_server_listens_on_an_ipv6_address() -> None:
    if listen_error(0, "::1") is not None:
        pytest.skip("this machine has no IPv6")
    settings = Settings(metrics_host="::1")
    with (
        health_answered(settings, Health()) as port,
        DIRECT.open(f"http://[::1]:{port}/livez") as answer,
    ):
        assert answer.status == 200


def test_health_without_a_port_in_the_settings_uses_a_free_one() -> None:
    CONNECTIONS.set(0)
    with (
        health_answered(Settings(), Health()) as port,
        DIRECT.open(f"http://{LOOPBACK}:{port}/metrics") as answer,
    ):
        assert b"exchange_http_connections" in answer.read()
    with health_answered(Settings(metrics_port=0), Health()) as port:
        assert port == 0


def test_silent_connections_keep_few_threads_and_probes_are_answered() -> None:
    with health_answered(Settings(), Health()) as port, contextlib.ExitStack() as silent:
        before = threading.active_count()
        for _ in range(PROBES_MAX * 3):
            silent.enter_context(socket.create_connection((LOOPBACK, port)))
            assert probed_status(port) == 200
        deadline = time.monotonic() + 10
        while threading.active_count() > before + PROBES_MAX:
            assert time.monotonic() < deadline, threading.active_count()
            time.sleep(0.01)


def test_silent_connection_is_closed_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "PROBE_S_MAX", 0.2)
    with (
        health_answered(Settings(), Health()) as port,
        socket.create_connection((LOOPBACK, port), timeout=5) as silent,
    ):
        assert silent.recv(1) == b""


def probed_status(port: int) -> int:
    with DIRECT.open(f"http://{LOOPBACK}:{port}/livez", timeout=5) as answer:
        return int(answer.status)


def test_metrics_are_rendered_at_most_once_a_second() -> None:
    rendered: list[float] = []
    now_s = 0.0

    def render() -> bytes:
        rendered.append(now_s)
        return str(now_s).encode()

    page = MetricsPage(render, lambda: now_s)
    assert [page.body() for _ in range(50)] == [b"0.0"] * 50
    now_s = 0.99
    assert page.body() == b"0.0"
    now_s = 1.0
    assert page.body() == b"1.0"
    assert rendered == [0.0, 1.0]


def test_health_server_on_a_port_in_use_fails_with_one_line() -> None:
    with HTTPServer((LOOPBACK, 0), BaseHTTPRequestHandler) as other:
        settings = Settings(metrics_port=other.server_port)
        with (
            pytest.raises(UnavailableError, match=f"port {other.server_port}: .*METRICS_PORT"),
            health_answered(settings, Health()),
        ):
            raise AssertionError("the port was bound twice")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the end waits for the next check")
def test_end_does_not_wait_for_the_next_check_whether_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health_module, "STOP_CHECK_S", 3600.0)
    with health_answered(Settings(metrics_port=free_port()), Health()) as port:
        assert probed(port)[0] == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((LOOPBACK, port), timeout=1.0)
