"""An edge on a real port of this process, and clients that speak to it byte by byte."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import uvloop

from services.api.app import ApiApp
from services.api.protocol import ConnectionLimits
from services.api.server import HttpServer
from services.runtime.settings import Settings

# Far longer than any bound that a test sets: reaching it means that a connection was not ended.
PATIENCE_S = 20.0
_TRICKLE_S = 0.02


@contextlib.contextmanager
def serving(edge: ApiApp, limits: ConnectionLimits) -> Iterator[int]:
    """The port, for as long as the server runs."""
    server = HttpServer(edge, Settings(port=0), limits)
    thread = threading.Thread(target=lambda: uvloop.run(server.run()))
    thread.start()
    try:
        yield server.port
    finally:
        server.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


class RawClient:
    """One connection. Everything it waits for has an end."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._read = b""

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def close(self) -> None:
        """Hang up; also the end of `with`."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """All of it."""
        self._socket.sendall(data)

    def answers(self, count: int) -> list[int]:
        """The statuses of the next answers, whose bodies are read with them."""
        return [self._answer()[0] for _ in range(count)]

    def answer(self) -> tuple[int, str, bytes]:
        """The next answer: status, head, body."""
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
        """What comes until the other side closes; fails when it does not."""
        with contextlib.suppress(ConnectionResetError):
            while part := self._socket.recv(65_536):
                self._read += part
        return self._read

    def trickle(self, parts: Iterator[bytes] | Sequence[bytes]) -> bytes:
        """Send part by part, slowly, until the other side closes; what it said meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        self._socket.settimeout(_TRICKLE_S)
        for part in parts:
            assert time.monotonic() < deadline, "the other side does not close"
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
        self._socket.settimeout(PATIENCE_S)
        return self._read


@contextlib.contextmanager
def connected(port: int, count: int) -> Iterator[list[RawClient]]:
    """So many clients at once."""
    with contextlib.ExitStack() as ending:
        yield [ending.enter_context(RawClient(port)) for _ in range(count)]


def status_of(raw: bytes) -> int | None:
    """Of the first answer in these bytes; None where there is none."""
    return int(raw.split(b" ", 2)[1]) if raw else None
