"""Single attempts of the webhook sender, with a name server of the test's own where needed."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from services.webhooks.address import Network, parse_networks
from services.webhooks.schedule import Answer
from services.webhooks.sender import WebhookSender

LOOPBACK = parse_networks("127.0.0.0/8,::1/128")
HEADERS = {"webhook-id": "an-id"}


def post(
    url: str, allowed: Sequence[Network] = LOOPBACK, lookup: Any = socket.getaddrinfo
) -> Answer:
    """One attempt."""
    return posts(url, 1, allowed, lookup)[0]


def posts(
    url: str, count: int, allowed: Sequence[Network], lookup: Any = socket.getaddrinfo
) -> list[Answer]:
    """One after the other, by one sender."""

    async def all_of_them() -> list[Answer]:
        async with WebhookSender(allowed, lookup) as sender:
            return [await sender.post(url, HEADERS, b"{}") for _ in range(count)]

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
