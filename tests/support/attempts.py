"""Single attempts of the webhook sender, with a name server of the test's own where needed.

None leaves this machine, whatever the sender thinks of an address.
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
from tests.support.patching import replaced

LOOPBACK = parse_networks("127.0.0.0/8,::1/128")
HEADERS = {"webhook-id": "an-id"}


class _OfThisMachine(socket.socket):
    """Connects to loopback addresses; anything else is a mistake of the sender, told loudly."""

    def connect(self, address: Any) -> None:
        asked = ip_address(address[0])
        if isinstance(asked, IPv6Address) and asked.ipv4_mapped is not None:
            asked = asked.ipv4_mapped
        if not asked.is_loopback:
            raise AssertionError(f"a connection to {address[0]}:{address[1]} was about to be made")
        super().connect(address)


_GUARDED = SimpleNamespace(**(vars(socket) | {"socket": _OfThisMachine}))


def post(
    url: str, allowed: Sequence[Network] = LOOPBACK, lookup: Any = socket.getaddrinfo
) -> ReceiverResponse:
    """One attempt."""
    return posts(url, 1, allowed, lookup)[0]


def posts(
    url: str, count: int, allowed: Sequence[Network], lookup: Any = socket.getaddrinfo
) -> list[ReceiverResponse]:
    """One after the other, by one sender."""

    async def all_of_them() -> list[ReceiverResponse]:
        async with WebhookSender(allowed, lookup) as sender:
            return [await sender.post(url, HEADERS, b"{}") for _ in range(count)]

    with replaced([(connector, "socket", _GUARDED)]):
        return asyncio.run(all_of_them())


class NameServer:
    """Gives each question the next of its answers, the last one for ever; an answer may be several
    addresses with spaces between."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        self.asked += 1
        answer = self._answers[min(self.asked, len(self._answers)) - 1]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in answer.split()
        ]
