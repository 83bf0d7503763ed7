"""A receiver of webhooks for tests: a real HTTP server that keeps what it is sent, and answers as
the test says."""

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
        """What repeats have in common."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


class Reply(Struct, frozen=True):
    """What the receiver answers."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""


Script = Callable[[Received], Reply]


def accept(_: Received) -> Reply:
    """What a good receiver answers."""
    return Reply()


class Receiver:
    """`received` in the order of arrival. `script` may wait; it runs on a thread per connection.

    `host`: how senders reach this machine. Unless that is the machine itself, all its addresses
    are listened on: the name may mean something else where the sender is, as in a container.
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
                """Silence."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """A sender that goes away is part of some tests."""

        self._server = Server((host if host == LOOPBACK else "", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}/hooks"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def ids(self) -> list[str]:
        """Of all that came."""
        return [one.webhook_id for one in self.received]

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def a_receiver(script: Script = accept, host: str = LOOPBACK) -> Iterator[Receiver]:
    """Listening inside."""
    receiver = Receiver(script, host)
    try:
        yield receiver
    finally:
        receiver.close()
