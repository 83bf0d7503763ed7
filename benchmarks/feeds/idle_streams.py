"""Live feeds in which nothing happens, as many as wanted, in a process that does little itself."""

import asyncio
import json
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

# Connections that are opened at once.
OPENING_MAX: Final = 100
OPEN_S_MAX: Final = 20.0
# A connection without any message of the client is closed after 60 s.
PONG_S: Final = 20.0
# A masked frame without content; a client may send it unasked.
_PONG: Final = b"\x8a\x80\0\0\0\0"
_TEXT, _MASK = 0x81, 0x80


class _IdleFeed(asyncio.Protocol):
    """One WebSocket: subscribes once it is open, and reads no message."""

    def __init__(self, request: bytes, first: bytes) -> None:
        self._request = request
        self._first = first
        self._head = b""
        self.is_open = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        self.transport = transport
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Wait for the end of the handshake's answer."""
        if not self.is_open.done():
            self._head += data
            if b"\r\n\r\n" in self._head:
                self.is_open.set_result(self._head.startswith(b"HTTP/1.1 101"))
                self.transport.write(self._first)

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that was not opened counts as refused."""
        if not self.is_open.done():
            self.is_open.set_result(False)


class IdleReport(Struct, frozen=True):
    """Connections that were opened, and those that are still open at the end."""

    opened: int
    kept: int


class IdleStreams(Struct):
    """Opens the connections, and keeps them."""

    url: str
    count: int
    symbol: str
    _feeds: Any = None
    _pongs: Any = None

    async def begin(self) -> None:
        """Open all connections."""
        parts, gate = urlsplit(self.url), asyncio.Semaphore(OPENING_MAX)
        request = (
            f"GET /ws HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        wish = {"op": "subscribe", "id": 1, "channel": "ladder", "symbols": [self.symbol]}
        text = json.dumps(wish).encode()
        first = bytes([_TEXT, _MASK | len(text)]) + bytes(4) + text
        loop = asyncio.get_running_loop()

        async def opened() -> _IdleFeed | None:
            async with gate:
                try:
                    async with asyncio.timeout(OPEN_S_MAX):
                        _, feed = await loop.create_connection(
                            lambda: _IdleFeed(request, first),
                            parts.hostname or "127.0.0.1",
                            parts.port or 80,
                        )
                        return feed if await feed.is_open else None
                except (OSError, TimeoutError):
                    return None

        found = await asyncio.gather(*(opened() for _ in range(self.count)))
        self._feeds = [feed for feed in found if feed is not None]
        self._pongs = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            for feed in self._feeds:
                await asyncio.sleep(PONG_S / max(1, len(self._feeds)))
                if not feed.transport.is_closing():
                    feed.transport.write(_PONG)
            if not self._feeds:
                await asyncio.sleep(PONG_S)

    async def end(self) -> IdleReport:
        """Close them."""
        self._pongs.cancel()
        kept = [feed for feed in self._feeds if not feed.transport.is_closing()]
        for feed in kept:
            feed.transport.abort()
        return IdleReport(len(self._feeds), len(kept))
