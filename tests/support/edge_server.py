"""An HTTP server of this process on a real port, and clients that send it raw bytes."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import uvloop

from services.api.app import ApiApp
from services.api.connection_limits import ConnectionLimits
from services.api.server import HttpServer
from services.runtime.settings import Settings

# Far longer than any limit that a test sets: reaching it means that a connection was not closed.
TIMEOUT_S = 20.0
# Wait between two parts: well below every limit that a test sets.
_TRICKLE_S = 0.02


@contextlib.contextmanager
def serving(edge: ApiApp, limits: ConnectionLimits) -> Iterator[int]:
    """Run the server; yield its port. Stop it at the end of the context."""
    server = HttpServer(edge, Settings(port=0, hosts="x"), limits)
    thread = threading.Thread(target=lambda: uvloop.run(server.run()))
    thread.start()
    try:
        yield server.port
    finally:
        server.stop()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


class RawClient:
    """One connection. Every wait ends with an error after TIMEOUT_S."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._read = b""

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def close(self) -> None:
        """Close the connection; the end of the context does it too."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        self._socket.sendall(data)

    def answers(self, count: int) -> list[int]:
        """Read the next `count` responses; return their statuses."""
        return [self._answer()[0] for _ in range(count)]

    def answer(self) -> tuple[int, str, bytes]:
        """Read the next response: status, head in lower case, and body."""
        return self._answer()

    def _answer(self) -> tuple[int, str, bytes]:
        while b"\r\n\r\n" not in self._read:
            self._more()
        raw, _, rest = self._read.partition(b"\r\n\r\n")
        head = raw.decode().lower()
        length = 0
        for line in head.splitlines():
            name, _, value = line.partition(": ")
            length = int(value) if name == "content-length" else length
        self._read = rest
        while len(self._read) < length:
            self._more()
        body, self._read = self._read[:length], self._read[length:]
        return int(head.split(" ")[1]), head, body

    def _more(self) -> None:
        part = self._socket.recv(65_536)
        assert part, f"closed after {self._read!r}"
        self._read += part

    def rest(self) -> bytes:
        """Read until the server closes the connection. Raises TimeoutError if it does not."""
        with contextlib.suppress(ConnectionResetError):
            while part := self._socket.recv(65_536):
                self._read += part
        return self._read

    def events(self) -> list[dict[str, Any]]:
        """Read the next server-sent events of a stream: their data."""
        while b"\n\n" not in self._read:
            self._more()
        raw, _, self._read = self._read.rpartition(b"\n\n")
        lines = raw.split(b"\n")
        return [json.loads(each[6:]) for each in lines if each.startswith(b"data: ")]

    def trickle(self, parts: Iterator[bytes] | Sequence[bytes]) -> bytes:
        """Send part by part, slowly, until the server closes; return the bytes that it sent."""
        deadline = time.monotonic() + TIMEOUT_S
        self._socket.settimeout(_TRICKLE_S)
        for part in parts:
            assert time.monotonic() < deadline, "the server does not close the connection"
            try:
                self._socket.sendall(part)
                received = self._socket.recv(65_536)
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
            if not received:
                break
            self._read += received
        self._socket.settimeout(TIMEOUT_S)
        return self._read


@contextlib.contextmanager
def connected(port: int, count: int) -> Iterator[list[RawClient]]:
    """Open `count` connections at once; close them at the end of the context."""
    with contextlib.ExitStack() as clients:
        yield [clients.enter_context(RawClient(port)) for _ in range(count)]


def status_of(raw: bytes) -> int | None:
    """Status of the first response in these bytes; None if they are empty."""
    return int(raw.split(b" ", 2)[1]) if raw else None
