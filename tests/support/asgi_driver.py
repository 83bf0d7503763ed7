"""In-memory driver of an ASGI app: sends one request and returns the whole response."""

import asyncio
import json
from collections.abc import MutableMapping, Sequence
from typing import Any

from msgspec import Struct

from services.api.messages import AsgiApp


class AsgiRequest(Struct, frozen=True):
    """A request.

    `parts`: body chunks in order of arrival; None: the body never ends.
    `stalls`: no chunk ever arrives. `gone`: the client disconnects after the last chunk.
    `client`: IP address of the connection; empty: unknown.
    """

    method: str
    path: str
    headers: dict[str, str] = {}
    parts: Sequence[bytes] | None = ()
    stalls: bool = False
    gone: bool = False
    client: str = ""


class AsgiResponse(Struct, frozen=True):
    """The response; `received` counts the messages that the app received."""

    status: int
    headers: dict[str, str]
    raw: bytes
    received: int

    @property
    def body(self) -> Any:
        """Body, parsed as JSON."""
        return json.loads(self.raw)


def _scope(asked: AsgiRequest) -> dict[str, Any]:
    path, _, query = asked.path.partition("?")
    return {
        "type": "http",
        "method": asked.method,
        "client": (asked.client, 5) if asked.client else None,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in asked.headers.items()],
    }


async def drive(app: AsgiApp, asked: AsgiRequest) -> AsgiResponse | None:
    """Send the request to the app; return its response, or None if it sent none."""
    sent: list[MutableMapping[str, Any]] = []
    received = 0

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1
        if asked.stalls:
            await asyncio.Event().wait()
        if asked.parts is None:
            return {"type": "http.request", "body": b"x" * 1024, "more_body": True}
        if received > len(asked.parts) and asked.gone:
            return {"type": "http.disconnect"}
        if not asked.parts:
            return {"type": "http.request", "body": b"", "more_body": False}
        more = received < len(asked.parts) or asked.gone
        return {"type": "http.request", "body": asked.parts[received - 1], "more_body": more}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(_scope(asked), receive, send)
    if not sent:
        return None
    head, *bodies = sent
    headers = {k.decode(): v.decode("latin-1") for k, v in head["headers"]}
    return AsgiResponse(head["status"], headers, b"".join(m["body"] for m in bodies), received)


def answer(app: AsgiApp, asked: AsgiRequest) -> AsgiResponse:
    """Send one request in a new event loop; return the response, which must exist."""
    answered = asyncio.run(drive(app, asked))
    assert answered is not None
    return answered
