"""Addresses that webhooks may reach: every form of a URL and of an address, tried.

The expected results are the table in `docs/webhook-addresses.md`. If a form has another result, the
test fails with the new table: review it, and copy it to the page if it is right.
"""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conformance.receiver import Received, Receiver, Reply, a_receiver
from services.webhooks.schedule import ReceiverResponse
from tests.support.attempts import LOOPBACK, NameServer, post_repeatedly
from tests.support.exchange import Exchange

TABLE = Path(__file__).parents[2] / "docs/webhook-addresses.md"
NOT_SENT = "not sent: "
THEN = ", then "
HEAD = """# Webhook addresses

Every form of a URL, registered with `POST /register`, and then sent to: by a sender that may
reach public addresses only, and by one that may reach this machine too
(`EXCHANGE_WEBHOOK_ALLOW_CIDRS` is `127.0.0.0/8,::1/128`, as in `exchange run`). PORT is the port
of a receiver that listens on 127.0.0.1; "sent" means that a connection was made or tried, "-"
that no broker can have such a URL. Registration checks only the form of a URL: a name may resolve
to another address later, so each connection is checked. Checked by
`tests/contract/test_webhook_addresses.py`.
"""

# Kind of address, and its ways to be written.
FORMS: dict[str, list[str]] = {
    "loopback": ["127.0.0.1:PORT", "127.9.9.9:PORT", "localhost:PORT", "[::1]:PORT"],
    "unspecified, which is this machine": [".".join("0000") + ":PORT", "0:PORT", "[::]:PORT"],
    "short, decimal, hexadecimal, octal": [
        "127.1:PORT", "2130706433:PORT", "0x7f000001:PORT", "0x7f.0.0.1:PORT", "0x7f.1:PORT",
        "0177.0.0.1:PORT", "017700000001:PORT",
    ],
    "digits of another script, a dot at the end": [
        "\uff11\uff12\uff17.0.0.1:PORT", "127.0.0.1.:PORT",
    ],
    "IPv4 in IPv6": [
        "[::ffff:127.0.0.1]:PORT", "[::ffff:7f00:1]:PORT", "[::ffff:169.254.169.254]",
        "[::ffff:10.0.0.1]", "[::127.0.0.1]:PORT",
    ],
    "IPv4 behind a translator: NAT64, 6to4, Teredo": [
        "[64:ff9b::7f00:1]:PORT", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::1]", "[2001::1]",
        "192.88.99.1",
    ],
    "private": [
        "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.0.1", "100.64.0.1", "[fc00::1]",
        "[fd12:3456::1]", "[fec0::1]",
    ],
    "link-local": ["169.254.1.1", "[fe80::1]"],
    "metadata of clouds": [
        "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "192.0.0.192",
        "168.63.129.16",
    ],
    "multicast, broadcast, reserved, documentation": [
        "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1",
        "203.0.113.1", "[ff02::1]", "[2001:db8::1]", "[100::1]",
    ],
    "public, on the port of another service": [
        "8.8.8.8:22", "8.8.8.8:25", "8.8.8.8:5432", "8.8.8.8:9092", "[2606:4700::1111]:6379",
    ],
    "with a user name": ["user@127.0.0.1:PORT", "8.8.8.8@127.0.0.1:PORT", "u:p@8.8.8.8"],
    "ambiguous": [r"8.8.8.8\@127.0.0.1:PORT", "127.0.0.1:PORT#@8.8.8.8"],
    "no port that exists": ["127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:x"],
    "no host": ["", ":PORT", "["],
}  # fmt: skip
SCHEMES = [
    "https://127.0.0.1:PORT/", "ftp://127.0.0.1:PORT/", "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/", "//127.0.0.1:PORT/", "127.0.0.1:PORT", "javascript:1",
]  # fmt: skip
# Addresses that a name resolves to, at the first attempt and at the second.
NAMES: dict[str, tuple[str, ...]] = {
    "a name of this machine": ("127.0.0.1",),
    "a name of a private address": ("10.1.2.3",),
    "a name of the metadata address": ("169.254.169.254",),
    "a name with a public and an inner address": ("8.8.8.8 10.1.2.3",),
    "a name that resolves differently at the second attempt": ("127.0.0.1", "10.1.2.3"),
}
REDIRECTS = (301, 302, 303, 307, 308)


class Outcome(NamedTuple):
    """Results of one URL: at registration, and for each of the two senders."""

    what: str
    url: str
    registered: str
    public_only: str
    with_loopback: str


class Trial:
    """Tries every URL on one exchange and one receiver."""

    def __init__(self, exchange: Exchange, receiver: Receiver) -> None:
        self._exchange = exchange
        self._receiver = receiver

    def outcomes(self) -> Iterator[Outcome]:
        for what, hosts in FORMS.items():
            for host in hosts:
                yield self._of(what, f"http://{host}/")
        for url in SCHEMES:
            yield self._of("another scheme" if "http" not in url else "TLS", url)
        for what, answers in NAMES.items():
            # A public address is tried on the usual port, so that only the address can be refused.
            port = "" if answers[0].startswith("8") else ":PORT"
            yield self._of(what, f"http://broker.example{port}/", answers)

    def _of(self, what: str, url: str, answers: tuple[str, ...] = ()) -> Outcome:
        real = url.replace("PORT", str(self._receiver.port))
        registered = self._registered(real)
        results = [
            THEN.join(_result(answer) for answer in self._sent(real, answers, allowed))
            for allowed in ((), LOOPBACK)
        ]
        if registered != "201":
            # Not registrable; the sender must refuse such a URL all the same.
            assert all(text.startswith("refused") for text in results), (url, results)
            results = ["-", "-"]
        return Outcome(what, url, registered, *results)

    def _registered(self, url: str) -> str:
        body = {"name": "Broker", "webhook_url": url}
        answer = self._exchange.admin().call("POST", "/register", body)
        return "201" if answer.status == 201 else f"{answer.status} {answer.body['code']}"

    def _sent(self, url: str, answers: tuple[str, ...], allowed: Any) -> list[ReceiverResponse]:
        before = self._receiver.connections
        names = NameServer(*answers)
        lookup = names if answers else socket.getaddrinfo
        found = post_repeatedly(url, max(1, len(answers)), allowed, lookup)
        if answers:
            # One look-up for each connection: the address that was checked is the one connected to.
            assert names.look_ups == len(found)
        if not allowed:
            assert self._receiver.connections == before, url
            assert not any(map(_sent, found)), (url, found)
        return found


def _sent(answer: ReceiverResponse) -> bool:
    return answer.error is None or not answer.error.startswith(NOT_SENT)


def _result(answer: ReceiverResponse) -> str:
    if _sent(answer):
        return "sent"
    return f"refused: {(answer.error or '').removeprefix(NOT_SENT)}"


@pytest.fixture(scope="module")
def outcomes(exchange: Exchange) -> list[Outcome]:
    with a_receiver(lambda _: Reply(headers={"Connection": "close"})) as receiver:
        return list(Trial(exchange, receiver).outcomes())


def redirected() -> str:
    """Result of redirects to an inner address, which must be the same for every status."""
    reached: list[Received] = []
    results = set()
    for status in REDIRECTS:
        with a_receiver() as inner:

            def script(_: Received, status: int = status, url: str = inner.url) -> Reply:
                return Reply(status, {"Location": url})

            with a_receiver(script) as receiver:
                (answer,) = post_repeatedly(receiver.url, 1, LOOPBACK)
                results.add((answer.error or "").replace(str(status), "3xx"))
            reached += inner.received
    assert not reached
    (result,) = results
    return f"sent once, not followed: {result}"


def rendered(outcomes: list[Outcome]) -> str:
    titles = ("", "URL", "at registration", "public addresses only", "this machine too")
    lines = [HEAD, f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    former = ""
    for one in outcomes:
        what = "" if one.what == former else one.what
        former = one.what
        url = one.url.replace("|", "\\|")
        cells = (what, f"`{url}`", one.registered, one.public_only, one.with_loopback)
        lines.append(f"| {' | '.join(cells)} |")
    url = "`http://127.0.0.1:PORT/` answers 3xx"
    lines.append(f"| a redirect to another address | {url} | 201 | - | {redirected()} |")
    return "\n".join(lines) + "\n"


def test_every_form_of_an_address_has_the_documented_result(outcomes: list[Outcome]) -> None:
    table = rendered(outcomes)
    assert TABLE.read_text() == table, f"new text of {TABLE.name}:\n{table}"


def test_sender_with_loopback_allowed_reaches_only_this_machine(
    outcomes: list[Outcome],
) -> None:
    sent = {one.what for one in outcomes if "sent" in one.with_loopback.split(THEN)}
    assert sent == {
        "loopback",
        "short, decimal, hexadecimal, octal",
        "digits of another script, a dot at the end",
        "IPv4 in IPv6",
        "ambiguous",
        "TLS",
        "a name of this machine",
        "a name that resolves differently at the second attempt",
    }
    assert not [one for one in outcomes if "sent" in one.public_only.split(THEN)]
