"""A client that subscribes to many books and ladders, and then reads nothing."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from loadgen.client.setup import SetupError

BOOKS: Final = 50
# As little as the kernel allows, so that the exchange has to keep what is not read.
_RECEIVE_BYTES: Final = 4_096
_TIMEOUT_S: Final = 10.0
_TEXT, _MASK, _TWO_BYTES = 0x81, 0x80, 126


class StalledReader:
    """The connection, which is not read from here on."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._since_s = time.monotonic()

    def ended_after_s(self, wait_s: float) -> float | None:
        """Seconds from the last reading to the end of the connection, which is looked for by
        writing; None: it is open. At most `wait_s` more are waited for."""
        deadline_s = time.monotonic() + wait_s
        pong = bytes([0x8A, _MASK]) + bytes(4)
        while time.monotonic() < deadline_s:
            try:
                self._connection.send(pong)
            except OSError:
                return time.monotonic() - self._since_s
            time.sleep(0.1)
        return None


@contextmanager
def stalled_reader(url: str, key: str, symbols: tuple[str, ...]) -> Iterator[StalledReader]:
    """Such a client of the books of these symbols. Raises SetupError."""
    parts = urlsplit(url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        connection.settimeout(_TIMEOUT_S)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nAuthorization: Bearer {key}\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        if not connection.recv(_RECEIVE_BYTES).startswith(b"HTTP/1.1 101"):
            raise SetupError(f"{url}/ws refused a connection")
        # With ladders, so that the buffers are full soon.
        for channel in ("book", "ladder"):
            fields: dict[str, object] = {
                "op": "subscribe",
                "id": channel,
                "channel": channel,
                "depth": 50,
            }
            fields["symbols"] = symbols[:BOOKS]
            text = json.dumps(fields).encode()
            head = bytes([_TEXT, _MASK | _TWO_BYTES]) + len(text).to_bytes(2, "big") + bytes(4)
            connection.sendall(head + text)
        yield StalledReader(connection)
