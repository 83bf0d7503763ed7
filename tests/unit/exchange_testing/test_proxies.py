"""Readiness of an exchange in containers, in an environment that names a proxy."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import cast

import pytest
from testcontainers.core.container import DockerContainer

from exchange_testing.exchange import ExchangeContainer
from infra.ports import LOOPBACK, free_port


class Handler(BaseHTTPRequestHandler):
    """A gateway whose `/readyz` has the body of the class."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.mark.parametrize(("degraded", "up"), [(b"[]", True), (b'[{"name":"sink"}]', False)])
def test_exchange_in_containers_is_up_with_all_helpers_and_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, degraded: bytes, up: bool
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{LOOPBACK}:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(Handler, "body", b'{"status":"ready","degraded":' + degraded + b"}")
    services = SimpleNamespace(exec=lambda _: SimpleNamespace(exit_code=0))
    with HTTPServer((LOOPBACK, 0), Handler) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        exchange = ExchangeContainer()
        exchange._addresses = {"url": f"http://{LOOPBACK}:{server.server_port}"}
        assert exchange._is_up(cast(DockerContainer, services)) is up
        server.shutdown()
