"""Single attempts at a real receiver: what is sent, what is believed, and where nothing goes."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from services.webhooks.address import Network, parse_networks
from services.webhooks.schedule import Answer
from services.webhooks.sender import ANSWER_BYTES_MAX, WebhookSender
from tests.support.receiver import Received, Receiver, Reply, a_receiver

LOOPBACK = parse_networks("127.0.0.0/8,::1/128")
HEADERS = {"webhook-id": "an-id"}
# Where a connection goes to this very machine.
ANY_ADDRESS = "0.0.0.0"  # noqa: S104


def post(
    url: str, allowed: Sequence[Network] = LOOPBACK, lookup: Any = socket.getaddrinfo
) -> Answer:
    async def once() -> Answer:
        async with WebhookSender(allowed, lookup) as sender:
            return await sender.post(url, HEADERS, b"{}")

    return asyncio.run(once())


class NameServer:
    """Gives each question the next of its answers, the last one for ever."""

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


def test_attempt_arrives_as_it_was_made() -> None:
    with a_receiver() as receiver:
        assert post(receiver.url + "?a=1") == Answer(200)
        (came,) = receiver.received
    assert (came.path, came.body) == ("/hooks?a=1", b"{}")
    assert came.headers["webhook-id"] == "an-id"
    assert came.headers["content-type"] == "application/json"
    assert not {"authorization", "cookie", "accept-encoding"} & came.headers.keys()


def test_attempts_share_a_connection() -> None:
    async def three(url: str) -> None:
        async with WebhookSender(LOOPBACK) as sender:
            for _ in range(3):
                assert await sender.post(url, HEADERS, b"{}") == Answer(200)

    with a_receiver() as receiver:
        asyncio.run(three(receiver.url))
        assert (len(receiver.received), receiver.connections) == (3, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_a_failure_and_is_not_followed(status: int) -> None:
    with a_receiver() as inner:
        with a_receiver(lambda _: Reply(status, {"Location": inner.url})) as receiver:
            assert post(receiver.url) == Answer(status, f"answered {status}")
        assert inner.received == []


def test_wait_that_is_asked_for_is_told() -> None:
    with a_receiver(lambda _: Reply(429, {"Retry-After": "7"})) as receiver:
        assert post(receiver.url) == Answer(429, "answered 429", 7.0)


@pytest.mark.parametrize("status", [200, 500])
def test_long_answer_is_not_read_and_its_status_counts(status: int) -> None:
    sent = threading.Event()

    def babble(_: Received) -> Reply:
        sent.set()
        return Reply(status, body=b"x" * 100_000_000)

    with a_receiver(babble) as receiver:
        assert post(receiver.url).status == status
    assert sent.is_set()


def test_answer_up_to_the_limit_keeps_the_connection() -> None:
    async def two(url: str) -> None:
        async with WebhookSender(LOOPBACK) as sender:
            for _ in range(2):
                await sender.post(url, HEADERS, b"{}")

    with a_receiver(lambda _: Reply(body=b"x" * ANSWER_BYTES_MAX)) as receiver:
        asyncio.run(two(receiver.url))
        assert receiver.connections == 1


def listening_for(answer: bytes) -> tuple[socket.socket, str]:
    """A server that takes one connection after the other and answers these bytes to anything."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "the connection broke off"),
        (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\n", "the answer is not HTTP"),
    ],
)
def test_what_does_not_speak_http_is_a_failure_without_its_words(answer: bytes, error: str) -> None:
    listener, url = listening_for(answer)
    with listener:
        assert post(url) == Answer(None, error)


def test_nobody_there_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert post(f"http://127.0.0.1:{port}/") == Answer(None, "no connection")


def test_name_that_does_not_resolve_is_a_failure() -> None:
    def unknown(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    answer = post("http://broker.example/", lookup=unknown)
    assert answer == Answer(None, "the host's name does not resolve")


def all_refused(receiver: Receiver, urls: Sequence[str], lookup: Any = socket.getaddrinfo) -> None:
    for url in urls:
        answer = post(url, (), lookup)
        assert answer.status is None, url
        assert answer.error is not None
        assert answer.error.startswith("not sent: "), (url, answer.error)
    assert receiver.connections == 0


def test_no_form_of_an_inner_address_is_connected_to() -> None:
    with a_receiver() as receiver:
        port = receiver.port
        hosts = [
            "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1",
            "0177.0.0.1", "017700000001", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
            ANY_ADDRESS, "0", "127.0.0.1.", "169.254.169.254", "10.0.0.1", "192.168.0.1",
            "100.64.0.1", "224.0.0.1", "[fe80::1]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]",
            "\uff11\uff12\uff17.0.0.1", "user@127.0.0.1", "8.8.8.8@127.0.0.1",
        ]  # fmt: skip
        all_refused(receiver, [f"http://{host}:{port}/" for host in hosts])


def test_name_of_an_inner_address_is_refused_also_beside_a_public_one() -> None:
    with a_receiver() as receiver:
        for answer in ("127.0.0.1", "8.8.8.8 127.0.0.1", "169.254.169.254", "10.1.2.3"):
            names = NameServer(answer)
            all_refused(receiver, [f"http://broker.example:{receiver.port}/"], names)
            assert names.asked == 1


def test_name_that_is_rebound_after_a_look_is_refused() -> None:
    async def twice(url: str, names: NameServer) -> list[Answer]:
        async with WebhookSender(parse_networks("127.0.0.1/32"), names) as sender:
            first = await sender.post(url, HEADERS, b"{}")
            return [first, await sender.post(url, HEADERS, b"{}")]

    with a_receiver(lambda _: Reply(headers={"Connection": "close"})) as receiver:
        names = NameServer("127.0.0.1", "127.0.0.2")
        answers = asyncio.run(twice(f"http://broker.example:{receiver.port}/", names))
        assert answers == [Answer(200), Answer(None, "not sent: the address is not public")]
        # One question for each connection: what was checked is what is connected to.
        assert (names.asked, receiver.connections) == (2, 1)


def test_port_of_another_service_is_not_sent_to_at_a_public_address() -> None:
    for port in (22, 5432, 9092):
        assert post(f"http://8.8.8.8:{port}/", ()) == Answer(
            None, f"not sent: port {port} is not sent to"
        )
