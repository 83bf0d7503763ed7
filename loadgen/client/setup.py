"""Gets an exchange ready for a run: waits until it is ready, registers the brokers."""

import asyncio
import time
from collections.abc import Callable

import aiohttp
import msgspec

from schemas.rest import RegisterRequest, Registration

READY_POLL_S = 0.1
_READY = (200, 404)
_KEY_REFUSED = (401, 403)


class SetupError(Exception):
    """The exchange cannot be used; the text says why."""


async def wait_ready(url: str, timeout_s: float) -> None:
    """Until `/readyz` says so; a server without one is ready when it answers. Raises SetupError."""
    deadline = time.monotonic() + timeout_s
    last = "no answer"
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            try:
                async with session.get(f"{url}/readyz") as response:
                    last = f"{response.status} {await response.text()}"
                    if response.status in _READY:
                        return
            except (aiohttp.ClientError, OSError) as error:
                last = str(error)
            await asyncio.sleep(READY_POLL_S)
    raise SetupError(f"{url} is not ready after {timeout_s:.0f} s: {last}")


def no_webhooks(_: int) -> str | None:
    """For brokers that are told nothing."""
    return None


async def register(
    url: str,
    admin_key: str,
    count: int,
    webhook_url: Callable[[int], str | None] = no_webhooks,
) -> list[Registration]:
    """So many new brokers; `webhook_url` of each by its number, from 0. Raises SetupError."""
    registered: list[Registration] = []
    headers = {"Authorization": f"Bearer {admin_key}", "Content-Type": "application/json"}
    try:
        async with aiohttp.ClientSession(headers=headers) as session:
            for number in range(count):
                body = msgspec.json.encode(
                    RegisterRequest(f"Broker {number + 1:02d}", webhook_url(number))
                )
                async with session.post(f"{url}/register", data=body) as response:
                    raw = await response.read()
                    if response.status in _KEY_REFUSED:
                        raise SetupError(f"{url} does not take this admin key")
                    if response.status != 201:  # noqa: PLR2004
                        told = raw[:300].decode(errors="replace")
                        raise SetupError(f"POST /register: {response.status} {told}")
                    registered.append(msgspec.json.decode(raw, type=Registration))
    except (aiohttp.ClientError, OSError) as error:
        raise SetupError(f"{url}: {error}") from error
    return registered
