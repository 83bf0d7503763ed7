"""The connection pool against correct and faulty servers: every request ends exactly once."""

import asyncio

import pytest

from loadgen.client import pool as pool_module
from loadgen.client.pool import Pool
from loadgen.client.record import ABANDONED, NO_ANSWER, TIMED_OUT

REQUEST = b"GET / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """Answers each request of a connection with the next of `answers`; None closes it."""

    def __init__(self, *answers: bytes | None, delay_s: float = 0.0) -> None:
        self.answers = answers
        self.delay_s = delay_s
        self.connections = 0
        self.seen: asyncio.Queue[None] = asyncio.Queue()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            for answer in self.answers:
                await reader.readuntil(b"\r\n\r\n")
                self.seen.put_nowait(None)
                await asyncio.sleep(self.delay_s)
                if answer is None:
                    break
                writer.write(answer)
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def exchange(
    server: Server, count: int = 1, *, at_once: bool = False, timeout_s: float = 5.0
) -> list[tuple[int, bytes]]:
    """Status and body of each request, sent one after the other unless `at_once`."""

    async def main() -> list[tuple[int, bytes]]:
        came: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        found: list[tuple[int, bytes]] = []
        listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        pool = Pool(f"http://127.0.0.1:{port}", timeout_s)
        try:
            for _ in range(count):
                pool.send(REQUEST, lambda status, body: came.put_nowait((status, body)))
                if not at_once:
                    found.append(await came.get())
            while len(found) < count:
                found.append(await came.get())
        finally:
            await pool.close()
            listening.close()
        return found

    return asyncio.run(asyncio.wait_for(main(), 10))


def test_pool_keeps_a_connection_for_the_next_request() -> None:
    server = Server(OK, OK, OK)
    assert exchange(server, 3) == [(200, b"hi")] * 3
    assert server.connections == 1


def test_pool_opens_connections_for_requests_at_once() -> None:
    server = Server(OK, delay_s=0.1)
    assert exchange(server, 5, at_once=True) == [(200, b"hi")] * 5
    assert server.connections == 5


def test_pool_at_its_limit_queues_requests_for_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "CONNECTIONS_MAX", 2)
    server = Server(*[OK] * 10, delay_s=0.01)
    assert exchange(server, 10, at_once=True) == [(200, b"hi")] * 10
    assert server.connections == 2


def test_pool_replaces_a_connection_that_was_idle_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "IDLE_S_MAX", 0.0)
    server = Server(OK, OK)
    assert exchange(server, 2) == [(200, b"hi")] * 2
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\nyou\r\n0\r\n\r\n",
         (200, b"hiyou")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, (200, b"hi")),
        (b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", (503, b"")),
    ],
)  # fmt: skip
def test_pool_reads_every_form_of_answer(answer: bytes, expected: tuple[int, bytes]) -> None:
    assert exchange(Server(answer, answer), 2) == [expected] * 2


@pytest.mark.parametrize("answer", [None, b"SSH-2.0-OpenSSH\r\n\r\n"])
def test_pool_reports_no_answer_when_the_server_disconnects_or_sends_garbage(
    answer: bytes | None,
) -> None:
    (status, why), *_ = exchange(Server(answer))
    assert status == NO_ANSWER
    assert why


def test_pool_ends_a_request_at_its_timeout_and_continues_with_others() -> None:
    server = Server(OK, delay_s=0.3)
    found = exchange(server, 2, timeout_s=0.1)
    assert [status for status, _ in found] == [TIMED_OUT] * 2
    assert server.connections == 2


def test_pool_without_a_server_reports_no_answer_for_each_request() -> None:
    async def main() -> list[int]:
        came: asyncio.Queue[int] = asyncio.Queue()
        pool = Pool("http://127.0.0.1:9")
        for _ in range(3):
            pool.send(REQUEST, lambda status, _: came.put_nowait(status))
        found = [await came.get() for _ in range(3)]
        await pool.close()
        return found

    assert asyncio.run(main()) == [NO_ANSWER] * 3


def test_closed_pool_abandons_each_request_in_flight_once() -> None:
    server = Server(OK, delay_s=30)
    found: list[int] = []

    async def main() -> None:
        listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        pool = Pool(f"http://127.0.0.1:{port}")
        for _ in range(3):
            pool.send(REQUEST, lambda status, _: found.append(status))
        for _ in range(3):
            await server.seen.get()
        await pool.close()
        listening.close()

    asyncio.run(main())
    assert found == [ABANDONED] * 3
