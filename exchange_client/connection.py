"""Keeps one WebSocket connection to `/ws`, and makes it again after every loss."""

import asyncio
from typing import Final
from urllib.parse import urlsplit

from aiohttp import ClientError as HttpError
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from exchange_client.backoff import Backoff
from exchange_client.link_state import LinkState

# The exchange sends at least a heartbeat every 5 s.
SILENCE_S_MAX: Final = 15.0
CONNECT_S_MAX: Final = 10.0
RECONNECT_FIRST_S: Final = 0.5
RECONNECT_MOST_S: Final = 10.0


class FeedLink:
    """Passes messages between a connection and a state. `changed` is set after each message."""

    def __init__(self, url: str, http: ClientSession, state: LinkState) -> None:
        parts = urlsplit(url)
        scheme = {"https": "wss"}.get(parts.scheme, "ws")
        self._url = f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/ws"
        self._http = http
        self._state = state
        self._socket: ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()

    def start(self) -> None:
        """Connect in the background."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Send what is to be sent, and close the connection."""
        await self.flush()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        # A waiting program is to see the end.
        self.changed.set()

    async def flush(self) -> None:
        """Send the state's messages. A lost connection is noticed by its reader."""
        outgoing = self._state.outgoing
        while outgoing and self._socket is not None:
            try:
                await self._socket.send_str(outgoing.popleft())
            except (HttpError, OSError):
                return

    async def _run(self) -> None:
        backoff = Backoff(RECONNECT_FIRST_S, RECONNECT_MOST_S)
        while self._state.error is None:
            try:
                reason = await self._follow(backoff)
            except (HttpError, OSError, TimeoutError) as error:
                reason = f"{type(error).__name__}: {error}"
            self._socket = None
            self._state.lost(reason)
            self.changed.set()
            if self._state.error is None:
                await asyncio.sleep(backoff.next_s())

    async def _follow(self, backoff: Backoff) -> str:
        """Follow one connection up to its end; the reason of the end."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_S_MAX):
            # Neither an offer to compress nor a bound on books: the exchange bounds its messages.
            socket = await self._http.ws_connect(self._url, heartbeat=20.0, max_msg_size=0)
        async with socket:
            self._socket = socket
            while not (self._state.must_reconnect or self._state.error):
                message = await socket.receive(timeout=SILENCE_S_MAX)
                if message.type is not WSMsgType.TEXT:
                    return f"closed {socket.close_code}: {message.extra or message.data or ''}"
                self._state.received(message.data, loop.time())
                await self.flush()
                if self._state.is_ready:
                    backoff.reset()
                self.changed.set()
        return str(self._state.error or "the exchange cannot serve this connection now")
