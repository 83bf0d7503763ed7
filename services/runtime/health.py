"""Liveness, readiness, metrics: what is checked, and a small server for services without HTTP."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import msgspec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


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


class HealthServer:
    """`/livez`, `/readyz` and `/metrics` on the loopback interface, in a thread of its own."""

    def __init__(self, port: int, health: Health) -> None:
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

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
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
