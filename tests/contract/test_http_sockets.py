"""Slow, endless, silent, non-reading and too many clients over real sockets.

The server closes their connections, and no client receives the answer to another's request.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from msgspec import structs
from prometheus_client import REGISTRY

from conformance.api import eventually
from schemas.brokers import Broker, key_hash
from services.api import body as http_body
from services.api.app import ApiApp, Request, Response, Route
from services.api.brokers import BrokerDirectory
from services.api.connection_limits import ConnectionLimits
from services.api.rate_limits import RateLimiter, RateLimits
from tests.support.edge_server import RawClient, connected, serving, status_of

BOUNDS = ConnectionLimits(
    connections_max=8,
    overflow_connections_max=2,
    crowd_s=0.5,
    head_bytes_max=2_000,
    head_fields_max=20,
    head_s=0.5,
    pipelined_max=10,
    idle_s=1,
    unread_s=2.0,
)
GET = b"GET /fast HTTP/1.1\r\nHost: x\r\n\r\n"
KEYED = b"Authorization: Bearer key\r\nContent-Type: application/json\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n" + KEYED
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
GET_WITH_KEY = b"GET /fast HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n"
SLOW_WITH_KEY = GET_WITH_KEY.replace(b"fast", b"slow")
RELEASED = threading.Event()
UNLIMITED = RateLimits()


async def fast(_: Request) -> Response:
    return Response(200, b"{}")


async def slow(_: Request) -> Response:
    await asyncio.to_thread(RELEASED.wait)
    return Response(200, b'{"slow":true}')


async def echo(request: Request) -> Response:
    return Response(200, request.body)


async def large(_: Request) -> Response:
    return Response(200, b"x" * 40_000_000)


async def page(_: Request) -> Response:
    return Response(200, b"x" * 4_000_000)


def edge(rate_limits: RateLimits = UNLIMITED) -> ApiApp:
    directory = BrokerDirectory("the-admin-key")
    directory.add(Broker("33be8111-b9b1-40c1-a6e6-2395694c9eef", "Alfa", key_hash("key"), 0))
    routes = [
        Route("GET", "/fast", fast, "anyone", ""),
        Route("GET", "/slow", slow, "anyone", ""),
        Route("GET", "/large", large, "anyone", ""),
        Route("GET", "/page", page, "anyone", ""),
        Route("POST", "/echo", echo, "broker", ""),
    ]
    return ApiApp(routes, directory, rate_limiter=RateLimiter(rate_limits))


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with serving(edge(), BOUNDS) as used_port:
        yield used_port


@pytest.fixture
def port(server: int) -> Iterator[int]:
    """Port of the server, once it has no connection."""
    RELEASED.clear()
    gauge = "exchange_http_connections"
    eventually("no connection", lambda: REGISTRY.get_sample_value(gauge) == 0)
    yield server
    RELEASED.set()


@pytest.fixture
def client(port: int) -> Iterator[RawClient]:
    with RawClient(port) as connected:
        yield connected


def cut(reason: str) -> float:
    name = "exchange_http_connections_cut_total"
    return REGISTRY.get_sample_value(name, {"reason": reason}) or 0.0


def code_of(raw: bytes) -> str:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert f"content-length: {len(body)}".encode() in head
    return str(json.loads(body)["code"])


def test_client_that_sends_nothing_is_closed_without_an_answer(client: RawClient) -> None:
    before = cut("slow")
    assert client.rest() == b""
    assert cut("slow") == before + 1


def test_head_that_stops_halfway_is_408_and_closed(client: RawClient) -> None:
    client.send(b"GET /fast HTTP/1.1\r\nHost")
    raw = client.rest()
    assert (status_of(raw), code_of(raw)) == (408, "request_timeout")


@pytest.mark.parametrize(
    "first", [b"", GET], ids=["first of a connection", "second of a connection"]
)
def test_head_that_trickles_is_408_and_closed(client: RawClient, first: bytes) -> None:
    if first:
        client.send(first)
        assert client.answers(1) == [200]
    endless = itertools.chain([b"GET /fast HTTP/1.1\r\n"], itertools.repeat(b"a"))
    raw = client.trickle(endless)
    assert (status_of(raw), code_of(raw)) == (408, "request_timeout")


def test_endless_blank_lines_are_closed_without_an_answer(client: RawClient) -> None:
    assert client.trickle(itertools.repeat(b"\r\n")) == b""


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"GET /", b"a" * 900),
        (b"GET /fast HTTP/1.1\r\nA: ", b"a" * 900),
        (b"GET /fast HTTP/1.1\r\n", b"A: " + b"b" * 900 + b"\r\n"),
        (b"GET /fast HTTP/1.1\r\n", b"A" * 900),
    ],
    ids=["target", "value", "fields", "name"],
)
def test_head_without_end_is_431_and_closed(client: RawClient, begin: bytes, part: bytes) -> None:
    before = cut("head_too_large")
    raw = client.trickle(itertools.chain([begin], itertools.repeat(part)))
    assert (status_of(raw), code_of(raw)) == (431, "head_too_large")
    assert cut("head_too_large") == before + 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"A: " + b"b" * 1_900 + b"\r\n", 200),
        (b"A: " + b"b" * 2_001 + b"\r\n", 431),
        (b"A: b\r\n" * 19, 200),
        (b"A: b\r\n" * 20, 431),
    ],
    ids=["largest", "too large", "most", "too many"],
)
def test_head_in_one_packet_is_accepted_up_to_its_bounds(
    client: RawClient, fields: bytes, status: int
) -> None:
    client.send(b"GET /fast HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
    assert client.answers(1) == [status]
    if status == 431:
        assert client.rest() == b""


def test_many_requests_in_one_packet_are_not_counted_as_one_large_head(client: RawClient) -> None:
    padded = b"GET /fast HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 900 + b"\r\n\r\n"
    client.send(padded * 6 + padded[:500])
    assert client.answers(6) == [200] * 6
    client.send(padded[500:])
    assert client.answers(1) == [200]


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        (b"Content-Length: 1000\r\n\r\n", itertools.repeat(b" ")),
        (b"Transfer-Encoding: chunked\r\n\r\n", itertools.repeat(b"1\r\n \r\n")),
    ],
    ids=["announced", "chunked"],
)
def test_body_that_trickles_is_408_and_closed(
    client: RawClient, head: bytes, parts: Iterator[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_body, "BODY_SECONDS_MAX", 0.5)
    client.send(POST + head)
    raw = client.trickle(parts)
    assert (status_of(raw), code_of(raw)) == (408, "request_timeout")


def test_body_that_trickles_after_its_answer_is_closed(client: RawClient) -> None:
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    assert client.answers(1) == [401]
    assert client.trickle(itertools.repeat(b" ")) == b""


def test_body_that_arrives_after_its_answer_leaves_the_connection_usable(
    client: RawClient,
) -> None:
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
    assert client.answers(1) == [401]
    client.send(b"{}" + GET)
    assert client.answers(1) == [200]
    client.send(GET)
    assert client.answers(1) == [200]
    assert client.rest() == b""


@pytest.mark.parametrize("late", [b"{}", b"{}\r\n", b"{", b""])
def test_connection_unused_after_an_early_answer_is_closed(client: RawClient, late: bytes) -> None:
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
    assert client.answers(1) == [401]
    client.send(late)
    assert client.rest() == b""


def test_connection_in_use_stays_open_and_is_closed_when_idle(client: RawClient) -> None:
    for _ in range(30):
        client.send(GET)
        assert client.answers(1) == [200]
    assert client.rest() == b""


def test_request_processed_longer_than_every_time_limit_is_answered(client: RawClient) -> None:
    client.send(SLOW + b"GET /fast HTTP/1.1\r\nHo")
    # Longer than the limits for headers, idle and unread time. The timer bounds this wait.
    threading.Timer(3.0, RELEASED.set).start()
    status, _, body = client.answer()
    assert (status, body) == (200, b'{"slow":true}')
    client.send(b"st: x\r\n\r\n")
    assert client.answers(1) == [200]


@pytest.mark.parametrize(
    "after",
    [b"BREW /x HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"a" * 3_000, GET * 30],
    ids=["malformed request", "endless head", "too many pipelined"],
)
def test_refusal_is_never_sent_in_place_of_an_earlier_answer(
    client: RawClient, after: bytes
) -> None:
    client.send(SLOW)
    raw = client.trickle(itertools.chain([after], itertools.repeat(b"a" * 1_000)))
    assert raw == b""


def test_request_whose_connection_was_cut_logs_no_error(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with RawClient(port) as cut_off:
        cut_off.send(SLOW + GET + b"BREW /x HTTP/1.1\r\n\r\n")
        assert cut_off.rest() == b""
    RELEASED.set()
    eventually("answers", lambda: status_of_new_client(port) == 200)
    with RawClient(port) as other:
        other.send(SLOW * 3)
        assert other.answers(3) == [200] * 3
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_pipelined_requests_are_answered_in_order(client: RawClient) -> None:
    bodies = [str(number).encode() for number in range(9)]
    client.send(b"".join(POST + b"Content-Length: 1\r\n\r\n" + body for body in bodies))
    assert [client.answer()[2] for _ in bodies] == bodies


@pytest.mark.parametrize("requests", [1, 3])
def test_client_that_does_not_read_is_cut(client: RawClient, requests: int) -> None:
    before = cut("not_reading")
    client.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * requests)
    eventually("cut", lambda: cut("not_reading") == before + 1)
    assert len(client.rest()) < 40_000_000


def test_client_that_reads_a_large_answer_in_time_receives_all_of_it(client: RawClient) -> None:
    client.send(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
    status, _, body = client.answer()
    assert (status, len(body)) == (200, 4_000_000)


def test_connection_over_the_limit_is_503_and_the_others_stay_open(port: int) -> None:
    before = cut("too_many")
    with connected(port, BOUNDS.connections_max) as inside:
        for each in inside:
            each.send(GET_WITH_KEY)
            assert each.answers(1) == [200]
            each.send(SLOW_WITH_KEY)
        with RawClient(port) as outside:
            outside.send(GET)
            raw = outside.rest()
        assert (status_of(raw), code_of(raw)) == (503, "not_accepted")
        assert b"retry-after: 1" in raw
        with RawClient(port) as silent:
            silent.rest()
        assert cut("too_many") == before + 2
        RELEASED.set()
        for each in inside:
            assert each.answers(1) == [200]
            each.send(GET)
            assert each.answers(1) == [200]
        inside[0].close()
        eventually("a free connection", lambda: status_of_new_client(port) == 200)


def status_of_new_client(port: int) -> int | None:
    with RawClient(port) as one:
        one.send(b"GET /fast HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return status_of(one.rest())


def test_connections_max_above_the_limit_of_open_files_is_refused() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))\n"
        "from services.api.app import ApiApp\n"
        "from services.api.brokers import BrokerDirectory\n"
        "from services.api.server import HttpServer\n"
        "from services.runtime.settings import Settings\n"
        "app = ApiApp([], BrokerDirectory(None))\n"
        "def made(connections):\n"
        "    return HttpServer(app, Settings(port=0, connections_max=connections))\n"
        "try:\n    made(1_000)\nexcept Exception as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("EXCHANGE_CONNECTIONS_MAX and EXCHANGE_STREAMS_MAX need ")
    assert "the system allows 300" in done.stdout


def test_connections_waiting_for_their_503_are_bounded() -> None:
    before = cut("too_many")
    patient = structs.replace(BOUNDS, crowd_s=60.0, idle_s=60)
    with (
        serving(edge(), patient) as port,
        connected(port, patient.connections_max) as inside,
    ):
        for each in inside:
            each.send(GET_WITH_KEY)
            assert each.answers(1) == [200]
        with connected(port, 20) as crowd:
            aborted = 20 - patient.overflow_connections_max
            eventually("aborted", lambda: cut("too_many") == before + aborted)
            for each in crowd:
                with contextlib.suppress(OSError):
                    each.send(GET)
            answers = [status_of(each.rest()) for each in crowd]
        assert (
            sorted(answers, key=str) == [503] * patient.overflow_connections_max + [None] * aborted
        )
