"""The HTTP server of a process, from the bind to the last answer. The lifecycle handles signals.

Stop: 1. refuse new calls, 2. answer those in progress, for a bounded time, 3. close the port.
"""

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Iterator, Sequence
from typing import cast

import uvicorn

from services.api.acceptor import Acceptor
from services.api.app import ApiApp
from services.api.brokers import BrokerDirectory
from services.api.connection_limits import ConnectionLimits
from services.api.direct_protocol import direct_protocol
from services.api.framework import ServiceRouter, make_framework
from services.api.freshness import BrokersFreshness
from services.api.headers import SECURITY_HEADERS
from services.api.hosts import HostRules
from services.api.messages import Response, Route
from services.api.pages import Pages
from services.api.protocol import HttpProtocol
from services.api.rate_limits import RateLimiter
from services.api.streams import Streams
from services.runtime.errors import SettingsError, UnavailableError
from services.runtime.health import Alive, Check, Health, Readiness, answer_probe
from services.runtime.kafka.dispatcher import TopicDispatcher
from services.runtime.logging_setup import RateLimit
from services.runtime.metrics import CONNECTIONS
from services.runtime.settings import Settings

log = logging.getLogger(__name__)

NOT_YET = "the exchange is starting and reads its topics; nothing was written"

# A caller may ask to wait 10 s for an outcome; supervisors kill after 15.
DRAIN_S = 11
# Any client can send malformed requests, which must not fill the service log.
_LINES_PER_MINUTE_MAX = 20
# Connections the kernel holds while the loop is busy with a burst.
_BACKLOG = 2048
# Files that a process needs besides connections: Kafka's, PostgreSQL's, its own.
_OTHER_FILES = 256


class _Uvicorn(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the given sockets; uvicorn would accept a flood of connections in one turn."""
        self.servers = [Acceptor(each, self._protocol) for each in sockets or []]  # type: ignore[misc]
        self.started = True

    def _protocol(self) -> asyncio.Protocol:
        kind = cast(type[HttpProtocol], self.config.http_protocol_class)
        return kind(self.config, self.server_state, self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to the lifecycle."""
        yield


class HttpServer:
    """One per process. The port is taken when it is made; raises UnavailableError if it cannot."""

    def __init__(
        self,
        app: ApiApp,
        settings: Settings,
        limits: ConnectionLimits | None = None,
        streams: Streams | None = None,
    ) -> None:
        """`limits`: by default those of the settings."""
        limits = limits or ConnectionLimits(
            connections_max=settings.connections_max,
            keyless_per_address_max=settings.connections_per_address,
        )
        streams_max = 0 if streams is None else settings.streams_max
        _allow_files(limits.connections_max + limits.overflow_connections_max + streams_max)
        self._streams = streams
        self._app = app
        self._listener = listen(settings.host, settings.port)
        self.port: int = self._listener.getsockname()[1]
        _quiet_logger()
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=direct_protocol(
                    limits, app, streams, HostRules.of(settings.host, settings.hosts)
                ),
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                headers=list(SECURITY_HEADERS),
                proxy_headers=False,
                timeout_keep_alive=limits.idle_s,
                timeout_graceful_shutdown=DRAIN_S,
            )
        )
        CONNECTIONS.set_function(lambda: len(self._server.server_state.connections))

    def stop(self) -> None:
        """Begin to stop. Safe in a signal handler."""
        self._app.refuse("the exchange is stopping; nothing was written", close=True)
        if self._streams is not None:
            self._streams.stop()
        self._server.should_exit = True

    async def run(self) -> None:
        """Serve until `stop`."""
        try:
            await self._server.serve(sockets=[self._listener])
            if self._streams is not None:
                await self._streams.drain()
        finally:
            self._listener.close()


def _quiet_logger() -> None:
    """Limit the rate of uvicorn's own log lines."""
    logger = logging.getLogger("uvicorn.error")
    if not logger.filters:
        logger.addFilter(RateLimit(_LINES_PER_MINUTE_MAX))


def make_app(
    title: str,
    routes: Sequence[Route],
    routers: Sequence[ServiceRouter],
    directory: BrokerDirectory,
    rate_limiter: RateLimiter,
    pages: Sequence[Pages] = (),
) -> ApiApp:
    """The API of these calls. It answers 503 until `open_when_caught_up`."""
    framework = make_framework(title, routes, routers)
    app = ApiApp(routes, directory, framework, rate_limiter, pages)
    app.refuse(NOT_YET)
    return app


async def open_when_caught_up(
    app: ApiApp, dispatcher: TopicDispatcher, freshness: BrokersFreshness
) -> None:
    """Accept requests once everything that the topics held at the start was applied."""
    await dispatcher.wait_caught_up()
    await freshness.answered.wait()
    app.accept()
    log.info("caught up")


def log_check(dispatcher: TopicDispatcher, freshness: BrokersFreshness) -> Check:
    """Readiness check: everything that the topics held at the start is applied."""
    caught_up = dispatcher.caught_up() and freshness.answered.is_set()
    return Check(caught_up, "caught up" if caught_up else "catching up")


def _allow_files(connections: int) -> None:
    # Every connection is an open file. Without a spare one no connection can be accepted, not even
    # to answer that there are too many.
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise SettingsError(
                f"EXCHANGE_CONNECTIONS_MAX and EXCHANGE_STREAMS_MAX need {wanted} open files, the "
                f"system allows {hard}: lower one of them, or raise `ulimit -Hn`"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises UnavailableError if the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UnavailableError(
            f"cannot listen on {host} port {port}: {error.strerror}; "
            "stop what listens there, or set EXCHANGE_PORT"
        ) from error
    if hasattr(socket, "TCP_DEFER_ACCEPT"):
        # The kernel keeps a connection for about a second until it has its first bytes. So requests
        # do not queue behind a flood of silent connections.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
    return listener


def health_router(health: Health, settings: Settings) -> ServiceRouter:
    """`/livez` and `/readyz`, open to anyone; `/metrics` too if the settings want it here."""

    def route(path: str, summary: str, answers: dict[int, type | None]) -> Route:
        async def handler() -> Response:
            status, content_type, body = answer_probe(path, health)
            return Response(status, body, content_type=content_type)

        return Route("GET", path, handler, "anyone", summary, answers=answers)

    ready: dict[int, type | None] = {200: Readiness, 503: Readiness}
    calls = [
        route("/livez", "Whether the process is alive", {200: Alive}),
        route("/readyz", "Whether the process is ready, with the result of each check", ready),
    ]
    if settings.metrics_on_api:
        calls.append(route("/metrics", "Prometheus metrics", {200: str}))
    return ServiceRouter(calls)
