"""Connects to checked addresses only.

A name is resolved for each connection, and all its addresses must be allowed. The address of the
connection is checked once more at the socket, because an address literal in a URL is never
resolved. No further look-up lies between the check and the connection, so its answer cannot change.
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

# A name server that does not answer occupies a thread until the resolver's time-out. So many
# brokers with such names can be served before others are delayed.
RESOLVING_MAX = 64
KEEP_ALIVE_S = 30.0

AddressInfo = tuple[Any, ...]
Lookup = Callable[..., Sequence[AddressInfo]]


class CheckedResolver(AbstractResolver):
    """`lookup` is `socket.getaddrinfo`, or a test's replacement of it."""

    def __init__(self, allowed: Sequence[Network], lookup: Lookup) -> None:
        self._allowed = allowed
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(RESOLVING_MAX, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve a name. Raises RefusedAddressError if one of its addresses is not allowed."""
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
        """Close without waiting for look-ups in progress."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def checked_connector(allowed: Sequence[Network], lookup: Lookup) -> aiohttp.TCPConnector:
    """A connector for a session on the running loop."""

    def make_socket(info: AddressInfo) -> socket.socket:
        family, kind, proto, _, address = info
        check_address(str(address[0]), address[1], allowed)
        return socket.socket(family, kind, proto)

    return aiohttp.TCPConnector(
        resolver=CheckedResolver(allowed, lookup),
        use_dns_cache=False,
        socket_factory=make_socket,
        # Each broker has its own bound; a shared one could be used up by a few of them.
        limit=0,
        keepalive_timeout=KEEP_ALIVE_S,
    )
