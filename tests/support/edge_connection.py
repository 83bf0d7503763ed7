"""A client's connection to an edge, in memory: the bytes of its answers."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from uvicorn import Config
from uvicorn.server import ServerState

from services.api.app import ApiApp
from services.api.direct import DirectCall
from services.api.protocol import HttpProtocol

# What differs between two answers to the same request.
_OWN = re.compile(rb'(?<=x-request-id: )[0-9a-f]+-\d+|(?<="request_id":")[0-9a-f]+-\d+')
_DATE = re.compile(rb"(?<=date: )[^\r]+")


class Wire(asyncio.Transport):
    """A transport in memory."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 2)})
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Seen(Struct, frozen=True):
    """Bytes that a client reads, and whether the connection answered the last request itself."""

    raw: bytes
    closed: bool
    direct: bool


async def ask(app: ApiApp, kind: type[HttpProtocol], packets: Sequence[bytes]) -> Seen:
    """Send packets on a new connection, and wait for the answers."""
    config = Config(app, lifespan="off", access_log=False, log_config=None, proxy_headers=False)
    state = ServerState()
    state.default_headers = [(b"date", b"today")]
    protocol = kind(config, state, {}, asyncio.get_running_loop())
    wire = Wire()
    protocol.connection_made(wire)
    for packet in packets:
        if wire.closed:
            break
        protocol.data_received(packet)
        for _ in range(3):
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while protocol.busy and not wire.closed:  # noqa: ASYNC110 - until the handler answers
            await asyncio.sleep(0.001)
    direct = isinstance(protocol.cycle, DirectCall)
    protocol.connection_lost(ConnectionResetError())
    return Seen(_DATE.sub(b"", _OWN.sub(b"", wire.written)), wire.closed, direct)
