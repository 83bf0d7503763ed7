"""The brokers' side: a process that answers every webhook with 200 and records its arrival.

It answers before it verifies, and runs in a separate process from everything that is measured.
"""

import asyncio
import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final, cast

import httptools
import uvloop
from standardwebhooks import Webhook, WebhookVerificationError

from benchmarks.webhooks.figures import ReceivedWebhooks
from loadgen.client.setup import SetupError
from loadgen.client.workers import start_ignoring_signals

_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LOOPBACK: Final = "127.0.0.1"
# Grace period before the process is killed.
_STOP_S: Final = 5.0
# All brokers may connect at once.
_BACKLOG: Final = 1_024


class WebhookReceiver:
    """Handle of the receiver process. The URL path identifies the broker."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._port = int(self._receive())

    def url(self, broker: int) -> str:
        """The webhook URL of this broker."""
        return f"http://{_LOOPBACK}:{self._port}/{broker}"

    def set_secrets(self, secrets: Sequence[str]) -> None:
        """Send each broker's secret, by its number; call it before the first webhook."""
        self._pipe.send(list(secrets))

    def received(self) -> ReceivedWebhooks:
        """All webhooks received so far."""
        self._pipe.send(None)
        found: ReceivedWebhooks = self._receive()
        return found

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            raise SetupError("the receiver's process died") from error


@contextmanager
def running_receiver() -> Iterator[WebhookReceiver]:
    """Context with a listening receiver, which ends with it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    start_ignoring_signals(process)
    theirs.close()
    try:
        yield WebhookReceiver(ours)
    finally:
        # The process ends when the other end of its pipe is closed.
        ours.close()
        process.join(_STOP_S)
        process.kill()
        process.join()


def _serve(pipe: Connection) -> None:
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        uvloop.run(_Receiving(pipe).run())


class _Receiving:
    """The receiver inside the new process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._webhooks: list[Webhook] = []
        self._over = asyncio.Event()
        self._brokers: list[int] = []
        self._ids: list[str] = []
        self._at_us: list[int] = []
        self._wrong = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), _LOOPBACK, 0, backlog=_BACKLOG)
        self._pipe.send(server.sockets[0].getsockname()[1])
        loop.add_reader(self._pipe.fileno(), self._on_message)
        await self._over.wait()
        server.close()

    def _on_message(self) -> None:
        try:
            secrets = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._over.set()
            return
        if secrets is None:
            cpu_s = time.process_time()
            # The event loop made the pipe non-blocking, so a send would fail if the data did not
            # fit at once.
            os.set_blocking(self._pipe.fileno(), True)
            self._pipe.send(
                ReceivedWebhooks(self._brokers, self._ids, self._at_us, self._wrong, cpu_s)
            )
        else:
            self._webhooks = [Webhook(secret) for secret in secrets]

    def arrived(self, at_us: int, broker: int, headers: dict[str, str], body: bytes) -> None:
        """Record one webhook, which is already answered."""
        self._brokers.append(broker)
        self._ids.append(headers.get("webhook-id", ""))
        self._at_us.append(at_us)
        try:
            self._webhooks[broker].verify(body, headers, json_parse=False)
        except (WebhookVerificationError, IndexError, ValueError):
            self._wrong += 1


class _Connection(asyncio.Protocol):
    """One connection of the sender; httptools calls the `on_` methods."""

    def __init__(self, receiving: _Receiving) -> None:
        self._receiving = receiving
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.abort()

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        at_us = time.time_ns() // 1_000
        if self._transport is not None:
            self._transport.write(_OK)
        number = self._url.lstrip(b"/")
        broker = int(number) if number.isdigit() else -1
        self._receiving.arrived(at_us, broker, self._headers, self._body)
