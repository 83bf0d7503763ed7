"""Waiting for a service that is ready, not ready or absent; never through a proxy."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infra.ports import free_port
from services.runtime.readiness import not_ready, wait_ready


class Service:
    """A service that answers `/readyz` with the statuses given, the last one repeatedly."""

    def __init__(self) -> None:
        self.statuses = [200]
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                left = service.statuses
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.end_headers()
                self.wfile.write(b"state")

            def log_message(self, *_: object) -> None:
                """Write nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.server.shutdown()
    running.server.server_close()


def test_ready_service_has_no_reason(service: Service) -> None:
    assert not_ready(service.url) is None


def test_unready_service_gives_its_answer_as_the_reason(service: Service) -> None:
    service.statuses = [503]
    assert not_ready(service.url) == "503 state"


def test_other_statuses_count_as_ready_where_allowed(service: Service) -> None:
    service.statuses = [404]
    assert not_ready(service.url, {200, 404}) is None


def test_absent_service_gives_a_reason() -> None:
    assert "refused" in str(not_ready(f"http://127.0.0.1:{free_port()}"))


def test_wait_lasts_until_ready(service: Service) -> None:
    service.statuses = [503, 503, 200]
    assert wait_ready(service.url, 30.0) is None


def test_wait_ends_at_its_limit_or_when_the_process_ends(service: Service) -> None:
    service.statuses = [503]
    assert wait_ready(service.url, 0.0) == "503 state"
    assert wait_ready(service.url, 60.0, ended=lambda: True) == "503 state"


def test_proxy_of_the_environment_is_not_used(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert not_ready(service.url) is None
