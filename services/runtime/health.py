"""Liveness, readiness and metrics, and the small HTTP server that every service has for them."""

import contextlib
import logging
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import msgspec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.runtime.errors import UnavailableError
from services.runtime.settings import Settings

log = logging.getLogger(__name__)

# Scrapers read every few seconds; a second-old value is as good to them.
METRICS_AGE_S_MAX = 1.0
# Connections of the metrics port at once, each with a thread; probes and scrapers need a few.
PROBES_MAX = 16
# Time for each read of such a connection: a request is one packet.
PROBE_S_MAX = 5.0
# Time between two connections; probes and scrapers come a few times per second.
PROBE_INTERVAL_S = 0.005
# Interval of the check whether to stop. `close` does not wait for it where the system ends a wait
# for connections with its socket, as Linux does.
STOP_CHECK_S = 1.0


class Check(Struct, frozen=True):
    """One condition of readiness; `detail` describes its present state."""

    ok: bool
    detail: str


def check_age(last_at: float | None, age_s_max: float, what: str) -> Check:
    """Check of a loop by the age of its last completed round, at `last_at` of the monotonic clock.

    A loop whose attempts all fail has a connection and completes nothing.
    """
    if last_at is None:
        return Check(False, f"no {what} yet")
    age_s = time.monotonic() - last_at
    return Check(age_s <= age_s_max, f"last {what} {age_s:.1f} s ago")


class Alive(Struct, frozen=True):
    """Body of `/livez`."""

    status: str = "alive"


class Degraded(Struct, frozen=True):
    """A helper that is down while orders are served; `detail` has the reason and the remedy."""

    name: str
    detail: str


class Readiness(Struct, frozen=True):
    """Body of `/readyz`: ready if every check is ok, also while helpers are down."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, Check]
    degraded: list[Degraded] = []


class Health:
    """Named checks, evaluated per request. Thread-safe if the checks are."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], Check]] = {}
        self._degraded: Callable[[], list[Degraded]] = list

    def add(self, name: str, check: Callable[[], Check]) -> None:
        """Add a check. It must return at once, from state that is already known."""
        self._checks[name] = check

    def report_degraded(self, source: Callable[[], list[Degraded]]) -> None:
        """List the helpers of `source` too; they do not change the status."""
        self._degraded = source

    def readiness(self) -> Readiness:
        """The result of all checks now, and the helpers that are down."""
        checks = {name: check() for name, check in self._checks.items()}
        ready = all(check.ok for check in checks.values())
        return Readiness("ready" if ready else "not_ready", checks, self._degraded())


class MetricsPage:
    """The metrics as text, rendered at most once in `METRICS_AGE_S_MAX`. Thread-safe.

    Rendering takes the process about 10 ms, and any client may request it: so its rate is bounded.
    """

    def __init__(
        self,
        render: Callable[[], bytes] = generate_latest,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._render = render
        self._clock = clock
        self._rendering = threading.Lock()
        self._body = b""
        self._rendered_at_s: float | None = None

    def body(self) -> bytes:
        """The newest rendering, replaced if it is too old."""
        # Under the lock, so that requests at the same time share one rendering.
        with self._rendering:
            now_s = self._clock()
            age_s = None if self._rendered_at_s is None else now_s - self._rendered_at_s
            if age_s is None or age_s >= METRICS_AGE_S_MAX:
                self._body = self._render()
                self._rendered_at_s = now_s
            return self._body


# One page for each process: the metrics are the process's.
_METRICS = MetricsPage()


@contextmanager
def health_answered(settings: Settings, health: Health) -> Iterator[int]:
    """Serve health inside this context, on the port of the settings or a free one; port 0: not.

    Yields the port. Raises UnavailableError.
    """
    if settings.metrics_port == 0:
        yield 0
        return
    server = HealthServer(settings.metrics_host, settings.metrics_port or 0, health)
    log.info("metrics", extra={"fields": {"port": server.port}})
    try:
        yield server.port
    finally:
        server.close()


class _BoundedServer(ThreadingHTTPServer):
    """A thread for each connection, at most `PROBES_MAX`: with more, the oldest one is closed."""

    # Connections that the kernel holds while their turn has not come.
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        # From the accepting thread and from the threads of connections.
        self._changing = threading.Lock()
        self._connections: OrderedDict[socket.socket, None] = OrderedDict()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the thread of a connection, after making room.

        At most one each `PROBE_INTERVAL_S`: a client that asks all the time would take the
        processor from the service's own threads.
        """
        time.sleep(PROBE_INTERVAL_S)
        with self._changing:
            self._connections[request] = None
            if len(self._connections) > PROBES_MAX:
                oldest, _ = self._connections.popitem(last=False)
                # Its thread reads the end, and closes the socket itself.
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._changing:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write no trace: clients that hang up are no errors of the service."""


class HealthServer:
    """`/livez`, `/readyz` and `/metrics` in a separate thread. Raises UnavailableError."""

    def __init__(self, host: str, port: int, health: Health) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = PROBE_S_MAX

            def do_GET(self) -> None:
                status, kind, body = answer_probe(self.path, health)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("X-Content-Type-Options", "nosniff")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Write no log line: probes come every second."""

        try:
            self._server = _BoundedServer((host, port), Handler)
        except OSError as error:
            raise UnavailableError(
                f"cannot listen on {host} port {port}: {error.strerror}; stop what listens there, "
                "or set EXCHANGE_METRICS_HOST and EXCHANGE_METRICS_PORT"
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=[STOP_CHECK_S], daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        with contextlib.suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()


def answer_probe(path: str, health: Health) -> tuple[int, str, bytes]:
    """Status, content type and body of `/livez`, `/readyz` and `/metrics`; 404 for other paths."""
    if path == "/livez":
        return 200, "application/json", msgspec.json.encode(Alive())
    if path == "/readyz":
        readiness = health.readiness()
        body = msgspec.json.encode(readiness)
        return (200 if readiness.status == "ready" else 503), "application/json", body
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, _METRICS.body()
    return 404, "text/plain", b"not found\n"
