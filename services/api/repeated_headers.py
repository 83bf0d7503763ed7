"""Header lines that clients repeat: their bytes were parsed before, so they are looked up. Pure.

A client's requests differ in the request line and the body; between them it mostly sends the same
bytes. The parser's result depends on these bytes alone, so it is kept for the newest of them.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

# Bounds on the blocks kept. They differ, for example, in the key and the Content-Length.
BLOCKS_MAX: Final = 4_096
BLOCK_BYTES_MAX: Final = 1_024
_LINE_END: Final = b"\r\n"
_VERSION: Final = b"HTTP/1.1"
_METHODS: Final = frozenset({b"GET", b"POST"})


class RepeatedRequest(Struct, frozen=True):
    """A whole request whose header lines are known."""

    method: bytes
    target: bytes
    headers: Mapping[str, str]
    body: bytes


class RepeatedHeaders:
    """The header lines of an edge's requests, with their parsed headers."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        # By the bytes from the first header line to the blank line.
        self._blocks: dict[bytes, tuple[Mapping[str, str], int]] = {}

    def find(self, packet: bytes) -> RepeatedRequest | None:
        """The request, if the packet is exactly one with known header lines."""
        line_end = packet.find(_LINE_END)
        body_begin = packet.find(b"\r\n\r\n", line_end) + 4
        known = self._blocks.get(packet[line_end + 2 : body_begin])
        if known is None:
            return None
        headers, body_bytes = known
        if len(packet) - body_begin != body_bytes:
            return None
        method, _, rest = packet[:line_end].partition(b" ")
        target, _, version = rest.partition(b" ")
        if version != _VERSION or method not in _METHODS:
            return None
        return RepeatedRequest(method, target, headers, packet[body_begin:])

    def remember(
        self, packet: bytes, request_line: bytes, headers: Mapping[str, str], *, fields: int
    ) -> None:
        """Keep the header lines of a packet that is one whole request, as the parser read it.

        `fields`: number of header fields that the parser found. A packet that is anything else,
        such as one with folded lines, changes nothing.
        """
        line_end = packet.find(_LINE_END)
        body_begin = packet.find(b"\r\n\r\n", line_end) + 4
        block = packet[line_end + 2 : body_begin]
        length = headers.get("content-length", "0")
        body_bytes = int(length) if length.isdecimal() else -1
        if (
            packet[:line_end] == request_line + b" " + _VERSION
            and len(block) <= BLOCK_BYTES_MAX
            and block.count(_LINE_END) == fields + 1
            and len(packet) - body_begin == body_bytes
        ):
            if len(self._blocks) >= BLOCKS_MAX:
                self._blocks.clear()
            self._blocks[block] = headers, body_bytes
