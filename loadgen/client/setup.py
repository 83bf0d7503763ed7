"""Prepares an exchange for a run: waits until it is ready, registers brokers, sets instruments."""

from collections.abc import Callable, Sequence

import aiohttp
import msgspec

from loadgen.workload.tickers import REFERENCE_PRICE_CENTS
from schemas.rest import RegisterRequest, Registration
from services.runtime.readiness import wait_ready

_READY = (200, 404)
_KEY_REFUSED = (401, 403)


class SetupError(Exception):
    """The exchange cannot be used; the text gives the reason."""


def require_ready(url: str, timeout_s: float) -> None:
    """Wait until `/readyz` is 200, or 404 on a server without it. Raises SetupError."""
    reason = wait_ready(url, timeout_s, statuses=_READY)
    if reason is not None:
        raise SetupError(f"{url} is not ready after {timeout_s:.0f} s: {reason}")


def no_webhooks(_: int) -> str | None:
    """No webhook URL for any broker."""
    return None


async def register(
    url: str,
    admin_key: str,
    count: int,
    webhook_url: Callable[[int], str | None] = no_webhooks,
) -> list[Registration]:
    """Register `count` brokers; `webhook_url` of each by its number, from 0. Raises SetupError."""
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
                        answer = raw[:300].decode(errors="replace")
                        raise SetupError(f"POST /register: {response.status} {answer}")
                    registered.append(msgspec.json.decode(raw, type=Registration))
    except (aiohttp.ClientError, OSError) as error:
        raise SetupError(f"{url}: {error}") from error
    return registered


async def set_instruments(url: str, admin_key: str, symbols: Sequence[str]) -> None:
    """Give the symbols instruments, which stop orders need. Raises SetupError."""
    headers = {"Authorization": f"Bearer {admin_key}", "Content-Type": "application/json"}
    body = msgspec.json.encode({"reference_price": REFERENCE_PRICE_CENTS})
    try:
        async with aiohttp.ClientSession(headers=headers) as session:
            for symbol in symbols:
                path = f"/admin/stocks/{symbol}"
                async with session.put(f"{url}{path}", data=body) as response:
                    raw = await response.read()
                    if response.status != 200:  # noqa: PLR2004
                        answer = raw[:300].decode(errors="replace")
                        raise SetupError(f"PUT {path}: {response.status} {answer}")
    except (aiohttp.ClientError, OSError) as error:
        raise SetupError(f"{url}: {error}") from error
