"""Webhook receiver for tests: an HTTP server that records requests and answers by a script."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from msgspec import Struct

from infra.ports import LOOPBACK


class Received(Struct, frozen=True):
    """One request. `headers` by lower-case name."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def webhook_id(self) -> str:
        """The `webhook-id` header; repeats of a webhook share it."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


class Reply(Struct, frozen=True):
    """The receiver's response."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""


Script = Callable[[Received], Reply]


def accept(_: Received) -> Reply:
    """Answer 200, as a good receiver does."""
    return Reply()


class Receiver:
    """`received` holds requests in the order of arrival. `script` runs on a thread per connection.

    `host`: the address under which senders reach this machine. With any other than 127.0.0.1 the
    server listens on all addresses: inside a container the name may resolve differently.
    """

    def __init__(self, script: Script = accept, host: str = LOOPBACK) -> None:
        self.script = script
        self.received: list[Received] = []
        self.connections = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): text for name, text in self.headers.items()}
                came = Received(self.path, headers, body, time.time())
                receiver.received.append(came)
                self._answer(receiver.script(came))

            def do_GET(self) -> None:
                receiver.received.append(Received(self.path, {}, b"GET", time.time()))
                self._answer(Reply())

            def _answer(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, text in reply.headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """Ignore a sender that disconnects: some tests kill it."""

        self._server = Server((host if host == LOOPBACK else "", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}/hooks"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)
        self._thread.start()

    def ids(self) -> list[str]:
        """The `webhook-id` of every request."""
        return [one.webhook_id for one in self.received]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def a_receiver(script: Script = accept, host: str = LOOPBACK) -> Iterator[Receiver]:
    """A receiver that listens inside the block."""
    receiver = Receiver(script, host)
    try:
        yield receiver
    finally:
        receiver.close()
