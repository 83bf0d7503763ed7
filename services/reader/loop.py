"""The reader alone in a process: follow the log, answer on a port of its own, stop on demand.

The gateway does without this file: it mounts the reader's calls beside ingest's.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import Iterator

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.reader.app import Reader
from services.reader.archive import Archive
from services.reader.views import Views
from services.runtime.consumer import Fetch, LogConsumer
from services.runtime.directory import BrokerDirectory
from services.runtime.errors import UnavailableError
from services.runtime.health import Check, Health
from services.runtime.http import Call, Edge, Request, Response
from services.runtime.lifecycle import Stop
from services.runtime.log_identity import log_identity
from services.runtime.settings import Settings, require
from services.runtime.stream import Stream
from services.runtime.topics import Topology

log = logging.getLogger(__name__)

# Longer than clients keep an idle connection, so that it is never closed under their next request.
KEEP_ALIVE_S = 75
# An answer takes at most two bounded waits of a second.
DRAIN_S = 3


class _Server(uvicorn.Server):
    # Signals are the lifecycle's.
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, topology: Topology, stop: Stop) -> None:
    """Until the stop. Raises what the log's reading or folding raised."""
    # 1. The views, and who feeds them.
    directory = BrokerDirectory(settings.admin_key or secrets.token_hex(32))
    bootstrap = require(settings.kafka, "kafka")
    identity = log_identity(bootstrap, topology.prefix)
    archive = Archive(require(settings.database_url, "database_url"), identity)
    views = Views()
    reader = Reader(views, archive, directory, lambda: stream.caught_up and not failures)
    failures: list[BaseException] = []

    def failed(error: BaseException) -> None:
        failures.append(error)
        server.should_exit = True

    stream = Stream(
        LogConsumer(bootstrap, Fetch(settings.fetch_wait_ms)),
        topology,
        directory=directory,
        batches=[reader.apply],
        listing=None,
        failed=failed,
    )
    # 2. The port.
    health = Health()
    health.add("log", lambda: _check(stream.caught_up, "caught up", "catching up"))
    edge = Edge([*reader.calls(), *health_calls(health)], directory)
    server = _server(edge)
    stop.on_set(lambda: setattr(server, "should_exit", True))
    # 3. Until the stop, then in the order that leaves nobody without what it stands on.
    with _listening(settings) as listener:
        await archive.open()
        stream.start()
        forgetting = asyncio.create_task(reader.forget_stored())
        log.info("answering", extra={"fields": {"port": listener.getsockname()[1]}})
        try:
            await server.serve(sockets=[listener])
        finally:
            forgetting.cancel()
            await asyncio.to_thread(stream.stop)
            await archive.close()
    if failures:
        raise failures[0]


def _server(edge: Edge) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            edge,
            http="httptools",
            lifespan="off",
            access_log=False,
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )


def _listening(settings: Settings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port), backlog=1024)
    except OSError as error:
        raise UnavailableError(
            f"cannot listen on {settings.host}:{settings.port}: {error}"
        ) from error


def _check(ok: bool, yes: str, no: str) -> Check:
    return Check(ok, yes if ok else no)


def health_calls(health: Health) -> list[Call]:
    """`/livez`, `/readyz` and `/metrics`, open to anyone."""

    async def livez(_: Request) -> Response:
        return Response(200, b'{"status":"alive"}')

    async def readyz(_: Request) -> Response:
        readiness = health.readiness()
        status = 200 if readiness.status == "ready" else 503
        return Response(status, msgspec.json.encode(readiness))

    async def metrics(_: Request) -> Response:
        return Response(200, generate_latest(), content_type=CONTENT_TYPE_LATEST)

    return [
        Call("GET", "/livez", livez, "anyone", "Alive"),
        Call("GET", "/readyz", readyz, "anyone", "Caught up and connected, with each check"),
        Call("GET", "/metrics", metrics, "anyone", "Prometheus metrics"),
    ]
