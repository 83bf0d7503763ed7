"""Single attempts of the webhook sender, optionally with a scripted name server.

No attempt leaves this machine, even if the sender wrongly allows an address.
"""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from types import SimpleNamespace
from typing import Any

from services.webhooks import connector
from services.webhooks.address import Network, parse_networks
from services.webhooks.schedule import ReceiverResponse
from services.webhooks.sender import WebhookSender
from tests.support.patching import patched

LOOPBACK = parse_networks("127.0.0.0/8,::1/128")
HEADERS = {"webhook-id": "an-id"}


class _LoopbackSocket(socket.socket):
    """Socket that connects to loopback addresses only. Raises AssertionError for any other."""

    def connect(self, address: Any) -> None:
        target = ip_address(address[0])
        if isinstance(target, IPv6Address) and target.ipv4_mapped is not None:
            target = target.ipv4_mapped
        if not target.is_loopback:
            raise AssertionError(f"the sender tried to connect to {address[0]}:{address[1]}")
        super().connect(address)


_GUARDED = SimpleNamespace(**(vars(socket) | {"socket": _LoopbackSocket}))


def post(
    url: str, allowed: Sequence[Network] = LOOPBACK, lookup: Any = socket.getaddrinfo
) -> ReceiverResponse:
    """Post once; return the sender's response."""
    return post_repeatedly(url, 1, allowed, lookup)[0]


def post_repeatedly(
    url: str, count: int, allowed: Sequence[Network], lookup: Any = socket.getaddrinfo
) -> list[ReceiverResponse]:
    """Post `count` times in sequence with one sender; return its responses."""

    async def responses() -> list[ReceiverResponse]:
        async with WebhookSender(allowed, lookup) as sender:
            return [await sender.post(url, HEADERS, b"{}") for _ in range(count)]

    with patched([(connector, "socket", _GUARDED)]):
        return asyncio.run(responses())


class NameServer:
    """Scripted `getaddrinfo`: each look-up returns the next answer, and the last one repeatedly.

    An answer is one address or several, separated by spaces.
    """

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.look_ups = 0

    def __call__(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        self.look_ups += 1
        answer = self._answers[min(self.look_ups, len(self._answers)) - 1]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in answer.split()
        ]
