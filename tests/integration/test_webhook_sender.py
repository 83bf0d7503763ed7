"""Single delivery attempts at a real receiver: the request, and the accepted responses.

`docs/webhook-addresses.md` lists which addresses a sender contacts.
"""

import asyncio
import resource
import socket
import threading
import time
from typing import Any

import pytest

from conformance.receiver import Received, Reply, a_receiver
from services.webhooks.schedule import ReceiverResponse
from services.webhooks.sender import ANSWER_BYTES_MAX, STATUS_S_MAX, WebhookSender
from tests.support.attempts import HEADERS, LOOPBACK, post


def test_attempt_arrives_unchanged() -> None:
    with a_receiver() as receiver:
        assert post(receiver.url + "?a=1") == ReceiverResponse(200)
        (came,) = receiver.received
    assert (came.path, came.body) == ("/hooks?a=1", b"{}")
    assert came.headers["webhook-id"] == "an-id"
    assert came.headers["content-type"] == "application/json"
    assert not {"authorization", "cookie", "accept-encoding"} & came.headers.keys()


def test_attempts_share_a_connection() -> None:
    async def three(url: str) -> None:
        async with WebhookSender(LOOPBACK) as sender:
            for _ in range(3):
                assert await sender.post(url, HEADERS, b"{}") == ReceiverResponse(200)

    with a_receiver() as receiver:
        asyncio.run(three(receiver.url))
        assert (len(receiver.received), receiver.connections) == (3, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_a_failure_and_is_not_followed(status: int) -> None:
    with a_receiver() as inner:
        with a_receiver(lambda _: Reply(status, {"Location": inner.url})) as receiver:
            assert post(receiver.url) == ReceiverResponse(status, f"answered {status}")
        assert inner.received == []


def test_retry_after_is_returned() -> None:
    with a_receiver(lambda _: Reply(429, {"Retry-After": "7"})) as receiver:
        assert post(receiver.url) == ReceiverResponse(429, "answered 429", 7.0)


@pytest.mark.parametrize("status", [200, 500])
def test_long_answer_is_not_read_and_its_status_is_used(status: int) -> None:
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


def listening_for(answer: bytes, *, holds: bool = False) -> tuple[socket.socket, str]:
    """A server that accepts one connection after another and answers each with these bytes.

    `holds`: connections stay open.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if holds:
                held.append(connection)
                connection.recv(65536)
                connection.sendall(answer)
                continue
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 5\r\n\r\n",
        b"Content-Length: 5\r\n\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc",
        b"\r\n",
    ],
    ids=["length", "part", "chunked", "neither"],
)
def test_status_is_used_although_the_body_does_not_end(status: int, rest: bytes) -> None:
    listener, url = listening_for(f"HTTP/1.1 {status} X\r\n".encode() + rest, holds=True)
    begun = time.monotonic()
    with listener:
        assert post(url).status == status
    assert time.monotonic() - begun < STATUS_S_MAX / 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "the connection broke off"),
        (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\n", "the answer is not HTTP"),
    ],
)
def test_answer_that_is_not_http_is_a_failure_without_its_content(
    answer: bytes, error: str
) -> None:
    listener, url = listening_for(answer)
    with listener:
        assert post(url) == ReceiverResponse(None, error)


def test_lack_of_open_files_is_not_the_receivers_failure() -> None:
    async def without_files(url: str) -> ReceiverResponse:
        async with WebhookSender(LOOPBACK) as sender:
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            with socket.socket() as probe:
                first_free = probe.fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, limits[1]))
            try:
                return await sender.post(url, HEADERS, b"{}")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    with a_receiver() as receiver:
        answer = asyncio.run(without_files(receiver.url))
        assert answer.ours
        assert answer.status is None
        assert receiver.connections == 0
        assert not post("http://127.0.0.1:1/").ours


def test_refused_connection_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert post(f"http://127.0.0.1:{port}/") == ReceiverResponse(None, "no connection")


def test_name_that_does_not_resolve_is_a_failure() -> None:
    def unknown(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    answer = post("http://broker.example/", lookup=unknown)
    assert answer == ReceiverResponse(None, "the host's name does not resolve")
