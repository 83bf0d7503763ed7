"""Connections to addresses that were checked, and to no others.

A name is resolved for each connection, and every address it has must be allowed. The one that is
then connected to is checked once more, at the socket: an address that stands in the URL is never
resolved. Between a look and a connection nobody is asked anything who could answer differently.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from services.webhooks.address import Network, check_address

# A name server that does not answer keeps a thread for as long as the system's resolver waits: so
# many brokers with such names delay nobody else.
RESOLVING_MAX = 64
KEEP_ALIVE_S = 30.0

AddressInfo = tuple[Any, ...]
Lookup = Callable[..., Sequence[AddressInfo]]


class CheckedResolver(AbstractResolver):
    """`lookup` is `socket.getaddrinfo`, or stands for a name server of a test."""

    def __init__(self, allowed: Sequence[Network], lookup: Lookup) -> None:
        self._allowed = allowed
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(RESOLVING_MAX, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises RefusedAddressError when one of the addresses is not allowed."""
        asking = partial(self._lookup, host, port, family=family, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, asking)
        results = []
        for info in found:
            address = str(info[4][0])
            check_address(address, port, self._allowed)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=info[0],
                    proto=info[2],
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return results

    async def close(self) -> None:
        """Waits for no answer."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def checked_connector(allowed: Sequence[Network], lookup: Lookup) -> aiohttp.TCPConnector:
    """For a session on the running loop."""

    def make_socket(info: AddressInfo) -> socket.socket:
        family, kind, proto, _, address = info
        check_address(str(address[0]), address[1], allowed)
        return socket.socket(family, kind, proto)

    return aiohttp.TCPConnector(
        resolver=CheckedResolver(allowed, lookup),
        use_dns_cache=False,
        socket_factory=make_socket,
        # Each broker has its own bound; a common one would let some of them use it up.
        limit=0,
        keepalive_timeout=KEEP_ALIVE_S,
    )
