"""Sends one POST to a broker's URL. Bounded in time and in bytes read; follows no redirect, uses
only the status, and never shows the body of an answer."""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final

import aiohttp

from services.webhooks.address import Network, RefusedAddressError, check_url
from services.webhooks.connector import Lookup, checked_connector
from services.webhooks.schedule import ReceiverResponse, retry_after_s

CONNECT_S_MAX = 5.0
# Until the status has arrived; after it a little more for the body, which only decides whether the
# connection can be used again.
STATUS_S_MAX = 10.0
BODY_S_MAX = 1.0
ATTEMPT_S_MAX = STATUS_S_MAX + BODY_S_MAX
ANSWER_BYTES_MAX = 4 * 1024
_OURS = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EADDRNOTAVAIL,
        # Of a name's look-up.
        socket.EAI_MEMORY,
        socket.EAI_SYSTEM,
    }
)
_HEADERS = {"Content-Type": "application/json", "User-Agent": "exchange-webhooks/1"}
# Fixed texts for brokers: the libraries' messages may name internal addresses.
_REASONS: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...]] = (
    # The base class of InvalidURL too.
    (ValueError, "not sent: the URL cannot be used"),
    (TimeoutError, f"no answer within {STATUS_S_MAX:.0f} s"),
    (aiohttp.ClientConnectorDNSError, "the host's name does not resolve"),
    (
        (aiohttp.ClientSSLError, ssl.SSLError),
        "no TLS connection, or a certificate that is not valid",
    ),
    (aiohttp.ClientConnectorError, "no connection"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
    ((aiohttp.ClientError, OSError), "the connection broke off"),
)


class WebhookSender:
    """An HTTP session; `async with` on the loop that uses it."""

    def __init__(self, allowed: Sequence[Network], lookup: Lookup = socket.getaddrinfo) -> None:
        self._allowed = allowed
        self._lookup = lookup

    async def __aenter__(self) -> "WebhookSender":
        self._session = aiohttp.ClientSession(
            connector=checked_connector(self._allowed, self._lookup),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            skip_auto_headers=("Accept-Encoding",),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=ANSWER_BYTES_MAX,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> ReceiverResponse:
        """Send one request. Never raises because of a receiver."""
        try:
            check_url(url)
            async with asyncio.timeout(STATUS_S_MAX):
                try:
                    response = await self._post(url, headers, body)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                    if isinstance(error, aiohttp.ClientConnectorError):
                        raise
                    # A kept-alive connection that the receiver closed at this moment: try once
                    # more.
                    response = await self._post(url, headers, body)
        except (RefusedAddressError, aiohttp.ClientError, OSError, ValueError) as error:
            return ReceiverResponse(None, _reason(error), ours=_is_ours(error))
        async with response:
            await _read_a_little(response)
        if response.status // 100 == 2:  # noqa: PLR2004 - the class of successes
            return ReceiverResponse(response.status)
        wait_s = retry_after_s(response.headers.get("Retry-After"), time.time())
        return ReceiverResponse(response.status, f"answered {response.status}", wait_s)

    async def _post(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> aiohttp.ClientResponse:
        return await self._session.post(url, data=body, headers=headers, allow_redirects=False)


async def _read_a_little(response: aiohttp.ClientResponse) -> None:
    # Read to the end, so that the connection can be reused, or close it.
    read = 0
    try:
        async with asyncio.timeout(BODY_S_MAX):
            async for chunk in response.content.iter_any():
                read += len(chunk)
                if read > ANSWER_BYTES_MAX:
                    response.close()
                    return
    except (aiohttp.ClientError, OSError):
        # Also TimeoutError. The status has arrived, and nothing else matters.
        response.close()


def _is_ours(error: BaseException) -> bool:
    """True if this process or machine has run out of files, ports or memory."""
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, OSError) and error.errno in _OURS


def _reason(error: Exception) -> str:
    return next(
        (text for kinds, text in _REASONS if isinstance(error, kinds)), f"not sent: {error}"
    )
