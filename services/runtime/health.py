"""Liveness, readiness, metrics: what is checked, and a small server for services without HTTP."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import msgspec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.runtime.errors import UnavailableError
from services.runtime.settings import Settings


class Check(Struct, frozen=True):
    """One condition of being ready; `detail` says how far off it is."""

    ok: bool
    detail: str


class Readiness(Struct, frozen=True):
    """Body of `/readyz`: ready when every check is ok."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, Check]


class Health:
    """Named checks, asked when somebody asks. Thread-safe when the checks are."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], Check]] = {}

    def add(self, name: str, check: Callable[[], Check]) -> None:
        """A check must answer at once: it looks at what is known, it asks nobody."""
        self._checks[name] = check

    def readiness(self) -> Readiness:
        """All checks now."""
        checks = {name: check() for name, check in self._checks.items()}
        ready = all(check.ok for check in checks.values())
        return Readiness("ready" if ready else "not_ready", checks)


@contextmanager
def health_answered(settings: Settings, health: Health) -> Iterator[None]:
    """Whoever asks at the port that the settings name is answered inside; without one nobody is."""
    if not settings.metrics_port:
        yield
        return
    server = HealthServer(settings.metrics_host, settings.metrics_port, health)
    try:
        yield
    finally:
        server.close()


class HealthServer:
    """`/livez`, `/readyz` and `/metrics`, in a thread of its own. Raises UnavailableError."""

    def __init__(self, host: str, port: int, health: Health) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = _answer(self.path, health)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Silence: probes come every second."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise UnavailableError(
                f"cannot listen on {host} port {port}: {error.strerror}; stop what listens there, "
                "or set EXCHANGE_METRICS_HOST and EXCHANGE_METRICS_PORT"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _answer(path: str, health: Health) -> tuple[int, str, bytes]:
    if path == "/livez":
        return 200, "application/json", b'{"status":"alive"}'
    if path == "/readyz":
        readiness = health.readiness()
        body = msgspec.json.encode(readiness)
        return (200 if readiness.status == "ready" else 503), "application/json", body
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest()
    return 404, "text/plain", b"not found\n"
