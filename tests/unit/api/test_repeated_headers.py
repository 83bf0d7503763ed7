"""Requests whose header lines repeat: found without a parser only where it would find the same."""

import asyncio
from collections.abc import Sequence

import pytest
import uvloop
from msgspec import structs
from uvicorn import Config
from uvicorn.server import ServerState

from schemas.brokers import Broker, key_hash
from services.api.app import ApiApp, Response, Route
from services.api.brokers import BrokerDirectory
from services.api.direct import awaited
from services.api.messages import DirectHandler, Reply
from services.api.protocol import HttpProtocol
from services.api.repeated_headers import BLOCK_BYTES_MAX, BLOCKS_MAX, RepeatedHeaders
from tests.support.edge_connection import Seen, Wire, ask
from tests.unit.api.test_direct import (
    ORDER,
    Trader,
    kinds,
    placed,
    request,
    usual,
)

HEADERS = {"host": "x", "content-length": "2"}
LINE = b"POST /orders"
WHOLE = LINE + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


def knowing(packet: bytes = WHOLE, line: bytes = LINE, fields: int = 2) -> RepeatedHeaders:
    known = RepeatedHeaders()
    known.remember(packet, line, HEADERS, fields=fields)
    return known


def test_request_with_known_header_lines_is_found() -> None:
    found = knowing().find(WHOLE.replace(b"{}", b"[]").replace(b"/orders", b"/other?a=b"))
    assert found is not None
    assert structs.astuple(found) == (b"POST", b"/other?a=b", HEADERS, b"[]")


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"\r\n" + WHOLE,
        WHOLE + b"x",
        WHOLE[:-1],
        WHOLE[:-4],
        WHOLE + WHOLE,
        WHOLE.replace(b"Host: x", b"Host: y"),
        WHOLE.replace(b"1.1", b"1.0"),
        WHOLE.replace(b"POST", b"PUT"),
        WHOLE.replace(b"POST", b"post"),
        WHOLE.replace(b"POST ", b"POST  "),
        WHOLE.replace(b" HTTP", b"  HTTP"),
        WHOLE.replace(b"1.1\r", b"1.1 \r"),
        WHOLE.replace(b"1.1\r\n", b"1.1\n"),
        WHOLE.replace(b"1.1\r\n", b"1.1\r\nA: b\r\n"),
    ],
)
def test_any_other_packet_is_not_found(packet: bytes) -> None:
    assert knowing().find(packet) is None


@pytest.mark.parametrize(
    "known",
    [
        knowing(fields=1),
        knowing(WHOLE.replace(b"Host: x\r", b"Host: x,\r\n y\r")),
        knowing(WHOLE.replace(b"Host: x\r\n", b"Host: x\n")),
        knowing(b"\r\n" + WHOLE),
        knowing(WHOLE + b"x"),
        knowing(WHOLE[:-1]),
        knowing(line=b"GET /orders"),
        knowing(WHOLE.replace(b"1.1", b"1.0")),
        knowing(WHOLE.replace(b"Host: x", b"Host: " + b"x" * BLOCK_BYTES_MAX)),
    ],
)
def test_packet_that_is_not_one_usual_request_is_not_kept(known: RepeatedHeaders) -> None:
    assert not known._blocks


def test_number_of_kept_header_lines_is_bounded() -> None:
    known = RepeatedHeaders()
    for number in range(3 * BLOCKS_MAX):
        packet = WHOLE.replace(b"Host: x", b"Host: %d" % number)
        known.remember(packet, LINE, HEADERS, fields=2)
        assert known.find(packet) is not None
        assert len(known._blocks) <= BLOCKS_MAX


async def ask_counting(
    app: ApiApp, kind: type[HttpProtocol], packets: Sequence[bytes]
) -> tuple[Seen, int]:
    """Answers as a client reads them, and the number of packets answered without the parser."""
    unparsed = []

    class Counting(kind):  # type: ignore[misc, valid-type]
        def _answer_repeated(self, data: bytes) -> bool:
            answered: bool = super()._answer_repeated(data)
            unparsed.append(answered)
            return answered

    return await ask(app, Counting, packets), sum(unparsed)


def test_repeated_requests_are_answered_as_through_asgi() -> None:
    async def scenario(way: int) -> list[tuple[Seen, int]]:
        trader = Trader(way)
        await trader.register()
        await trader.register()
        mine, other = trader.keys
        filled = placed(await trader.send(request(LINE, ORDER % (b"bid", 7), key=mine)))
        await trader.send(request(LINE, ORDER % (b"ask", 7), key=other))
        rested = placed(await trader.send(request(LINE, ORDER % (b"bid", 6), key=mine)))
        return [
            await ask_counting(trader.edge, kinds(trader.edge)[way], [each] * 3)
            for each in usual(trader.keys, rested, filled)
        ]

    through_asgi, direct = (uvloop.run(scenario(way)) for way in range(2))
    assert sum(unparsed == 2 for _, unparsed in direct) > len(direct) / 2
    for (other, _), (seen, _) in zip(through_asgi, direct, strict=True):
        assert (seen.raw, seen.closed) == (other.raw, other.closed)


@pytest.mark.parametrize(
    ("headers", "unparsed"),
    [
        ([], 1),
        ([b"Connection: close"], 0),
        ([b"Connection: Upgrade", b"Upgrade: h2c"], 0),
        ([b"Expect: 100-continue"], 0),
    ],
)
def test_connection_repeats_only_what_needs_no_parser(headers: list[bytes], unparsed: int) -> None:
    async def scenario() -> None:
        app, _, _ = answering_edge()
        packet = request(b"GET /a", b"", *headers, key=b"key")
        seen, found = await ask_counting(app, kinds(app)[1], [packet, packet])
        closes = headers == [b"Connection: close"]
        assert (seen.raw.count(b" 200 "), found) == (1 if closes else 2, unparsed)

    uvloop.run(scenario())


def test_header_lines_of_another_connection_are_known_once_a_key_was_shown() -> None:
    async def scenario() -> None:
        app, _, _ = answering_edge()
        kind = kinds(app)[1]
        packet, other = (request(b"GET /a", b"", each, key=b"key") for each in (b"A: 1", b"A: 2"))
        for packets, unparsed in (([packet], 0), ([packet], 0), ([other, packet], 1)):
            seen, found = await ask_counting(app, kind, packets)
            assert (seen.raw.count(b" 200 "), found) == (len(packets), unparsed)

    uvloop.run(scenario())


def test_revoked_key_in_repeated_header_lines_is_refused() -> None:
    async def scenario() -> None:
        app, directory, broker = answering_edge()
        packet = request(b"GET /a", key=b"key")

        class Revoking(kinds(app)[1]):  # type: ignore[misc]
            def _answer_repeated(self, data: bytes) -> bool:
                if self.repeated.find(data) is not None:
                    directory.add(structs.replace(broker, revoked_at=1))
                answered: bool = super()._answer_repeated(data)
                return answered

        seen = await ask(app, Revoking, [packet, packet])
        assert (seen.raw.count(b" 200 "), seen.raw.count(b" 401 ")) == (1, 1)

    uvloop.run(scenario())


def test_repeated_request_waits_for_the_answer_before_it() -> None:
    replies: list[Reply] = []

    async def scenario() -> None:
        app, _, _ = edge_of(lambda _, reply: replies.append(reply))
        config = Config(app, lifespan="off", access_log=False, log_config=None)
        protocol = kinds(app)[1](config, ServerState(), {}, asyncio.get_running_loop())
        wire = Wire()
        protocol.connection_made(wire)
        packet = request(b"GET /a", key=b"key")
        for expected in (1, 2, 2):
            protocol.data_received(packet)
            await asyncio.sleep(0)
            assert len(replies) == expected
            if expected == 1:
                replies[0](Response(200, b"first"))
        replies[1](Response(200, b"second"))
        async with asyncio.timeout(5):
            while len(replies) < 3:  # noqa: ASYNC110 - a few turns of the loop
                await asyncio.sleep(0)
        protocol.connection_lost(None)
        assert wire.written.index(b"first") < wire.written.index(b"second")

    uvloop.run(scenario())


def answering_edge() -> tuple[ApiApp, BrokerDirectory, Broker]:
    return edge_of(lambda _, __: Response(200, b"{}"))


def edge_of(handle: DirectHandler) -> tuple[ApiApp, BrokerDirectory, Broker]:
    directory = BrokerDirectory(None)
    broker = Broker("33be8111-b9b1-40c1-a6e6-2395694c9eef", "A", key_hash("key"), 0)
    directory.add(broker)
    call = Route("GET", "/a", awaited(handle), "broker", "", direct=handle)
    return ApiApp([call], directory), directory, broker
