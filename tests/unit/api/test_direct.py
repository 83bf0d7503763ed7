"""Hot calls answered by their connection: the same bytes as through ASGI."""

import asyncio
import gc
import itertools
import re
from collections.abc import Iterator, Sequence

import pytest
import uvloop
from uvicorn import Config
from uvicorn.server import ServerState

from benchmarks.micro.edge import ADMIN_KEY, Gateway
from schemas.brokers import Broker, key_hash
from services.api import rate_limits
from services.api.app import ApiApp, ProblemError, Request, Response, Route
from services.api.brokers import BrokerDirectory
from services.api.connection_limits import ConnectionLimits
from services.api.direct import awaited
from services.api.direct_protocol import direct_protocol
from services.api.messages import Reply
from services.api.protocol import HttpProtocol
from services.api.rate_limits import RateLimiter, RateLimits
from services.api.streams import Header
from tests.support.edge_connection import Seen, Wire, ask

NOW_MS = 1_800_000_000_000
ORDER = b'{"document_number":"1","side":"%b","symbol":"A","quantity":10,"price":%d}'
UNKNOWN = b"01000000-5000-7000-8000-000000000abc"


def kinds(app: ApiApp) -> tuple[type[HttpProtocol], type[HttpProtocol]]:
    return HttpProtocol, direct_protocol(ConnectionLimits(), app)


class Trader:
    """One gateway, to which each request is sent by one of the two ways."""

    def __init__(self, way: int) -> None:
        numbers = itertools.count(1)
        self.edge = Gateway(lambda: NOW_MS, lambda size: next(numbers).to_bytes(size, "big")).edge
        self._kind = kinds(self.edge)[way]
        self.keys: list[bytes] = []

    async def register(self) -> None:
        body = b'{"name":"A"}'
        seen = await self.send(request(b"POST /register", body, key=ADMIN_KEY.encode()))
        found = re.search(rb'"api_key":"([^"]+)"', seen.raw)
        assert found is not None, seen.raw
        self.keys.append(found[1])

    async def send(self, *packets: bytes) -> Seen:
        return await ask(self.edge, self._kind, packets)


def request(line: bytes, body: bytes = b"", *headers: bytes, key: bytes = b"") -> bytes:
    fields = [b"Host: x", *headers]
    if key:
        fields.append(b"Authorization: Bearer " + key)
    if body:
        fields += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([line + b" HTTP/1.1", *fields, b"", b""]) + body


def placed(seen: Seen) -> bytes:
    found = re.search(rb'"order_id":"([^"]+)"', seen.raw)
    assert found is not None, seen.raw
    return found[1]


def usual(keys: Sequence[bytes], rested: bytes, filled: bytes) -> Iterator[bytes]:
    """Requests that a connection answers itself."""
    yield from usual_orders(keys[0])
    yield from usual_reads(keys, rested, filled)
    yield from usual_cancels(keys, rested, filled)


def usual_orders(mine: bytes) -> Iterator[bytes]:
    for headers in ([], [b"Prefer: wait=1"], [b"Prefer: respond-async"], [b"X-Request-Id: r-1"]):
        yield request(b"POST /orders", ORDER % (b"bid", 3), *headers, key=mine)
    named = ORDER[:-1] + b',"client_order_id":"c"}'
    for price in (4, 4, 5):
        yield request(b"POST /orders", named % (b"bid", price), key=mine)
    for body in (b"{", b"[]", b'{"side":1}', ORDER % (b"up", 3), b'{"a":' + b"1" * 5_000 + b"}"):
        yield request(b"POST /orders", body, key=mine)
    yield request(b"POST /orders", b"", key=mine)
    yield request(b"POST /orders", ORDER % (b"bid", 3))
    yield request(b"POST /orders", ORDER % (b"bid", 3), key=b"wrong")
    yield request(b"POST /orders", ORDER % (b"bid", 3), key=ADMIN_KEY.encode())
    yield request(b"POST /orders", ORDER % (b"bid", 3), b"Accept: text/html", key=mine)
    yield request(b"POST /orders", ORDER % (b"bid", 3), b"Content-Encoding: gzip", key=mine)
    yield request(b"POST /orders", ORDER % (b"bid", 3), b"Content-Type: text/plain", key=mine)
    yield request(b"POST /orders", ORDER % (b"bid", 3), b"Connection: close", key=mine)


def usual_reads(keys: Sequence[bytes], rested: bytes, filled: bytes) -> Iterator[bytes]:
    mine, _ = keys
    for order in (rested, filled, UNKNOWN, UNKNOWN.replace(b"7000", b"7fff"), b"x"):
        for key in keys:
            yield request(b"GET /orders/" + order, key=key)
            yield request(b"GET /orders/" + order.upper(), b"Prefer: wait=1", key=key)
    for path in (b"/stocks/A/price", b"/stocks/A/book", b"/stocks/ZZ/price", b"/stocks/ZZ/book"):
        for query in (b"", b"?trades=2", b"?depth=1", b"?depth=0&trades=x", b"?a=b"):
            yield request(b"GET " + path + query, key=mine)
    yield request(b"GET /stocks/abc/book", key=mine)
    for query in (b"", b"?limit=1", b"?limit=0", b"?cursor=A", b"?cursor=-a-"):
        yield request(b"GET /balance" + query, key=mine)
    yield request(b"GET /balance", b'{"a":1}', key=mine)


def usual_cancels(keys: Sequence[bytes], rested: bytes, filled: bytes) -> Iterator[bytes]:
    mine, other = keys
    for order in (filled, UNKNOWN, UNKNOWN.replace(b"7000", b"7fff"), b"x"):
        yield request(b"POST /orders/" + order + b"/cancel", key=mine)
    path = b"POST /orders/" + rested + b"/cancel"
    yield request(path, key=other)
    for body in (b'{"a":1}', b"{", b"{}"):
        yield request(path, body, key=mine)
    yield request(path, key=mine)
    for prefer in (b"return=representation", b"wait=1", b"return=representation, wait=2"):
        yield request(path, b"", b"Prefer: " + prefer, key=mine)


def unusual(keys: Sequence[bytes], order: bytes) -> Iterator[list[bytes]]:
    """Packets with requests that go through ASGI."""
    mine, _ = keys
    body = ORDER % (b"ask", 9)
    whole = request(b"POST /orders", body, key=mine)
    balance = request(b"GET /balance", key=mine)
    yield [whole[:-5], whole[-5:]]
    yield [whole[:40], whole[40:]]
    yield [whole.replace(b"HTTP/1.1", b"HTTP/1.0")]
    yield [request(b"POST /orders", body, b"Expect: 100-continue", key=mine)]
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    head = request(b"POST /orders", b"", b"Transfer-Encoding: chunked", key=mine)
    yield [head + chunked]
    yield [request(b"HEAD /balance", key=mine)]
    yield [request(b"OPTIONS /orders", key=mine)]
    yield [request(b"PUT /orders", body, key=mine)]
    yield [request(b"GET /nothing", key=mine)]
    yield [request(b"GET /orders/%41", key=mine)]
    yield [request(b"GET http://x/balance", key=mine)]
    yield [request(b"GET /balance?" + b"a" * 300, key=mine)]
    yield [request(b"GET /livez")]
    yield [whole + balance]
    yield [balance + balance + whole, balance]


def test_usual_requests_answered_by_the_connection_equal_those_through_asgi() -> None:
    async def scenario(way: int) -> list[Seen]:
        trader = Trader(way)
        await trader.register()
        await trader.register()
        mine, other = trader.keys
        filled = placed(await trader.send(request(b"POST /orders", ORDER % (b"bid", 7), key=mine)))
        await trader.send(request(b"POST /orders", ORDER % (b"ask", 7), key=other))
        rested = placed(await trader.send(request(b"POST /orders", ORDER % (b"bid", 6), key=mine)))
        return [await trader.send(each) for each in usual(trader.keys, rested, filled)]

    through_asgi, direct = (uvloop.run(scenario(way)) for way in range(2))
    assert [seen.direct for seen in direct] == [True] * len(direct)
    assert [seen.direct for seen in through_asgi] == [False] * len(direct)
    assert {int(seen.raw[9:12]) for seen in direct} >= {
        *(200, 201, 202, 204, 400, 401, 403, 404, 406, 409, 413, 415, 422)
    }
    for other, seen in zip(through_asgi, direct, strict=True):
        assert (seen.raw, seen.closed) == (other.raw, other.closed)


def test_unusual_requests_are_answered_alike_on_both_connections() -> None:
    async def scenario(way: int) -> list[Seen]:
        trader = Trader(way)
        await trader.register()
        await trader.register()
        first = await trader.send(request(b"POST /orders", ORDER % (b"bid", 6), key=trader.keys[0]))
        return [await trader.send(*each) for each in unusual(trader.keys, placed(first))]

    through_asgi, direct = (uvloop.run(scenario(way)) for way in range(2))
    assert not any(seen.direct for seen in direct[:-1])
    for other, seen in zip(through_asgi, direct, strict=True):
        assert seen.raw.startswith(b"HTTP/1.1 "), seen.raw
        assert (seen.raw, seen.closed) == (other.raw, other.closed)


def small_edge(limits: RateLimits, *calls: Route) -> ApiApp:
    directory = BrokerDirectory(None)
    directory.add(Broker("33be8111-b9b1-40c1-a6e6-2395694c9eef", "A", key_hash("key"), 0))
    return ApiApp(calls, directory, rate_limiter=RateLimiter(limits))


async def never(_: Request) -> Response:
    raise AssertionError("the other way was taken")


def test_request_behind_an_answer_that_closes_is_not_begun() -> None:
    begun: list[str] = []

    def handle(request: Request, _: Reply) -> Response:
        begun.append(request.request_id)
        return Response(200, b"{}", (("Connection", "close"),))

    async def scenario() -> None:
        call = Route("GET", "/a", awaited(handle), "anyone", "", direct=handle)
        app = small_edge(RateLimits(), call)
        for kind in kinds(app):
            begun.clear()
            seen = await ask(app, kind, [request(b"GET /a") * 2])
            assert (seen.raw.count(b" 200 "), seen.closed, len(begun)) == (1, True, 1)

    uvloop.run(scenario())


@pytest.mark.parametrize("error", [ProblemError("not_found", "No."), RuntimeError("a bug")])
@pytest.mark.parametrize("late", [False, True])
def test_error_of_a_handler_is_answered_as_through_asgi(error: Exception, late: bool) -> None:
    def handle(_: Request, reply: Reply) -> None:
        if not late:
            raise error
        asyncio.get_running_loop().call_soon(reply, error)

    async def failing(_: Request) -> Response:
        raise error

    async def scenario() -> None:
        app = small_edge(RateLimits(), Route("GET", "/a", failing, "anyone", "", direct=handle))
        seen = [await ask(app, kind, [request(b"GET /a")]) for kind in kinds(app)]
        assert seen[0].raw == seen[1].raw
        assert [way.direct for way in seen] == [False, True]

    uvloop.run(scenario())


def test_delayed_problem_is_answered_after_its_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "KEYLESS_DELAY_S", 0.2)
    limits = RateLimits(failed_keys_per_minute=1)

    async def scenario(way: int) -> tuple[float, Seen]:
        app = small_edge(limits, Route("GET", "/a", never, "broker", ""))
        await ask(app, kinds(app)[way], [request(b"GET /a", key=b"wrong")])
        begun_s = asyncio.get_running_loop().time()
        seen = await ask(app, kinds(app)[way], [request(b"GET /a", key=b"wrong")])
        return asyncio.get_running_loop().time() - begun_s, seen

    (took_s, other), (direct_s, seen) = (uvloop.run(scenario(way)) for way in range(2))
    assert seen.raw == other.raw
    assert seen.raw[9:12] == b"429"
    assert min(took_s, direct_s) > 0.19


def test_problem_of_a_direct_call_is_freed_without_the_collector() -> None:
    async def scenario() -> None:
        trader = Trader(1)
        await trader.register()
        await trader.send(request(b"POST /orders", b"{", key=trader.keys[0]))

    gc.collect()
    gc.disable()
    try:
        uvloop.run(scenario())
        assert [found for found in gc.get_objects() if isinstance(found, ProblemError)] == []
    finally:
        gc.enable()


def test_answer_to_a_client_that_is_gone_is_not_written() -> None:
    replies: list[Reply] = []

    async def scenario() -> None:
        app = small_edge(
            RateLimits(),
            Route("GET", "/a", never, "anyone", "", direct=lambda _, reply: replies.append(reply)),
        )
        config = Config(app, lifespan="off", access_log=False, log_config=None)
        protocol = kinds(app)[1](config, ServerState(), {}, asyncio.get_running_loop())
        wire = Wire()
        protocol.connection_made(wire)
        protocol.data_received(request(b"GET /a"))
        assert protocol.busy
        protocol.connection_lost(ConnectionResetError())
        replies[0](Response(200, b"{}"))
        assert wire.written == b""

    uvloop.run(scenario())


class Taking:
    """Streams that take over every connection that asks for them."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    def wants(self, target: bytes, headers: Sequence[Header]) -> bool:
        return target == b"/stream"

    def answers(self, target: bytes) -> bool:
        return target == b"/events"

    def refusal(self, address: str) -> ProblemError | None:
        return None

    def take(self, transport: asyncio.Transport, address: str, head: bytes) -> None:
        self.heads.append(head)

    def stop(self) -> None:
        pass

    async def drain(self) -> None:
        pass


@pytest.mark.parametrize(
    "packets",
    [
        [request(b"GET /events", b"")],
        [request(b"GET /events", b"")[:10], request(b"GET /events", b"")[10:]],
        [request(b"GET /events", b"body")[:-2], b"dy"],
        [request(b"GET /events", b"") + request(b"POST /orders", b"{}")],
    ],
    ids=["one packet", "two packets", "a body", "a request behind it"],
)
def test_stream_takes_its_connection_when_the_request_is_complete(packets: list[bytes]) -> None:
    async def scenario() -> None:
        app, streams = small_edge(RateLimits()), Taking()
        kind = direct_protocol(ConnectionLimits(), app, streams)
        config = Config(app, lifespan="off", access_log=False, log_config=None)
        protocol = kind(config, ServerState(), {}, asyncio.get_running_loop())
        wire = Wire()
        protocol.connection_made(wire)
        for packet in packets:
            assert streams.heads == []
            protocol.data_received(packet)
        async with asyncio.timeout(5):
            while not streams.heads:  # noqa: ASYNC110 - until the request was taken
                await asyncio.sleep(0.001)
        assert [head.split(b"\r\n")[0] for head in streams.heads] == [b"GET /events HTTP/1.1"]
        assert (wire.written, wire.closed) == (b"", False)

    uvloop.run(scenario())


def test_connection_that_left_http_has_no_time_limit_of_requests() -> None:
    async def scenario() -> None:
        app, streams = small_edge(RateLimits()), Taking()
        kind = direct_protocol(ConnectionLimits(head_s=0.05, idle_s=0), app, streams)
        config = Config(app, lifespan="off", access_log=False, log_config=None)
        protocol = kind(config, ServerState(), {}, asyncio.get_running_loop())
        wire = Wire()
        protocol.connection_made(wire)
        upgrade = request(b"GET /stream", b"", b"Connection: Upgrade", b"Upgrade: websocket")
        protocol.data_received(upgrade)
        await asyncio.sleep(0.2)
        assert (streams.heads[0][:15], wire.closed) == (b"GET /stream HTT", False)

    uvloop.run(scenario())
