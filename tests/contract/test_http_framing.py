"""The framing of requests over real sockets: upgrades, trailers, and the request behind."""

import itertools
from collections.abc import Iterator

import pytest

from tests.contract.test_http_sockets import BOUNDS, GET, KEYED, code_of, cut, edge
from tests.support.edge_server import RawClient, serving, status_of

UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
ECHO = b"POST /echo HTTP/1.1\r\nHost: x\r\n" + KEYED


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(edge(), BOUNDS) as taken:
        yield taken


@pytest.fixture
def client(port: int) -> Iterator[RawClient]:
    with RawClient(port) as connected:
        yield connected


@pytest.mark.parametrize(
    "body",
    [
        b'Content-Length: 7\r\n\r\n{"a":1}',
        b'Transfer-Encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n0\r\n\r\n',
    ],
    ids=["announced", "chunked"],
)
@pytest.mark.parametrize("packets", ["one", "two", "bytes"])
def test_upgrade_is_ignored_and_the_next_request_answered(
    client: RawClient, body: bytes, packets: str
) -> None:
    request = ECHO + UPGRADE + body + GET
    head = len(request) - len(body + GET)
    step = {"one": len(request), "two": head + 30, "bytes": 1}[packets]
    for start in range(0, len(request), step):
        client.send(request[start : start + step])
    status, _, echoed = client.answer()
    assert (status, echoed) == (200, b'{"a":1}')
    assert client.answers(1) == [200]


def test_many_upgrades_in_one_packet_are_each_answered(client: RawClient) -> None:
    one = ECHO + UPGRADE + b"Content-Length: 2\r\n\r\n{}"
    client.send(one * 5 + GET)
    assert client.answers(6) == [200] * 6


def test_connect_is_answered_and_closes(client: RawClient) -> None:
    client.send(b"CONNECT x:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n" + GET)
    raw = client.rest()
    assert raw.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
    assert raw.count(b"HTTP/1.1 ") == 1


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"


@pytest.mark.parametrize(
    "part",
    [b"A: " + b"b" * 300 + b"\r\n", b"a" * 300, b"A: b\r\n"],
    ids=["fields", "name", "short fields"],
)
@pytest.mark.parametrize("key", [KEYED, b""], ids=["valid key", "no key"])
def test_trailers_without_end_are_cut(client: RawClient, key: bytes, part: bytes) -> None:
    before = cut("head_too_large")
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\n" + key + CHUNKED)
    raw = client.trickle(itertools.repeat(part, 1_000))
    assert cut("head_too_large") == before + 1
    if key:
        assert (status_of(raw), code_of(raw)) == (431, "head_too_large")
    else:
        assert status_of(raw) == 401


def test_many_trailers_in_one_packet_are_cut(client: RawClient) -> None:
    client.send(ECHO + CHUNKED + b"A: b\r\n" * 22)
    raw = client.rest()
    assert (status_of(raw), code_of(raw)) == (431, "head_too_large")


def test_chunk_extensions_without_end_are_cut(client: RawClient) -> None:
    client.send(ECHO + b"Transfer-Encoding: chunked\r\n\r\n2;")
    raw = client.trickle(itertools.repeat(b"a" * 100, 1_000))
    assert (status_of(raw), code_of(raw)) == (431, "head_too_large")


def test_few_trailers_are_ignored_and_no_headers(client: RawClient) -> None:
    client.send(ECHO + CHUNKED + b"Authorization: Bearer other\r\nX: y\r\n\r\n" + GET)
    assert client.answers(2) == [200, 200]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HTTP/1.1\r\n", 400),
        (b"HTTP/1.1\r\nHost: x\r\nHost: x\r\n", 400),
        (b"HTTP/1.0\r\nHost: x\r\nHOST: y\r\n", 400),
        (b"HTTP/1.1\r\nhost: x\r\n", 200),
        (b"HTTP/1.0\r\n", 200),
        (b"HTTP/1.1\r\nHost: localhost:8000\r\n", 200),
        (b"HTTP/1.1\r\nHost: [::1]\r\n", 200),
        (b"HTTP/1.1\r\nHost: evil.example\r\n", 403),
        (b"HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n", 403),
    ],
    ids=["none", "two", "two of 1.0", "one", "none of 1.0", "name", "literal", "foreign", "prefix"],
)
def test_request_needs_exactly_one_host_that_the_port_answers_to(
    client: RawClient, head: bytes, status: int
) -> None:
    client.send(b"GET /fast " + head + b"Connection: close\r\n\r\n")
    raw = client.rest()
    assert status_of(raw) == status
    if status != 200:
        assert code_of(raw) == {400: "malformed_request", 403: "forbidden"}[status]
