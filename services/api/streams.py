"""The seam between the HTTP server and protocols that take over a connection by an Upgrade."""

from asyncio import Transport
from collections.abc import Sequence
from typing import Protocol

import httptools

from services.api.messages import ProblemError

Header = tuple[bytes, bytes]


class Streams(Protocol):
    """Connections that left HTTP's requests and answers."""

    def wants(self, target: bytes, headers: Sequence[Header]) -> bool:
        """True if the request, with lower-case header names, asks for such a connection."""

    def answers(self, target: bytes) -> bool:
        """True if such a connection answers a GET of this target, without an Upgrade."""

    def refusal(self, address: str) -> ProblemError | None:
        """The answer to a request for one that cannot be accepted now; None if it can."""

    def take(self, transport: Transport, address: str, head: bytes) -> None:
        """Take over a connection. `head`: its request, and the bytes that followed."""

    def stop(self) -> None:
        """Begin to close all connections, because the process stops."""

    async def drain(self) -> None:
        """Return once all connections are closed, within the time that a stop may take."""


def asks_to_upgrade(streams: Streams | None, target: bytes, headers: Sequence[Header]) -> bool:
    """True if a request that asks for an Upgrade gets it."""
    return streams is not None and streams.wants(target, headers)


def asks_for_stream(
    streams: Streams | None, parser: httptools.HttpRequestParser, target: bytes
) -> bool:
    """True if the request that the parser is reading is answered by a stream."""
    return streams is not None and parser.get_method() == b"GET" and streams.answers(target)


def head_bytes(
    parser: httptools.HttpRequestParser, target: bytes, headers: Sequence[Header]
) -> bytes:
    """The head of the request that the parser is reading, as HTTP/1.1 writes it."""
    version = parser.get_http_version().encode()
    lines = [parser.get_method() + b" " + target + b" HTTP/" + version]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", b""])
