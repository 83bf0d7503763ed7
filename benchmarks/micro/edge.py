"""Gateway benchmarks without Kafka: each endpoint, called through ASGI and as bytes of HTTP.

Ingest, reader and engine are the real ones. The engine matches each sent command at once, and the
outcome arrives at the loop's next turn in the bytes that Kafka would carry. The figure of a POST
therefore includes the matcher's share.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import count
from typing import Any

import uvloop
from msgspec.json import decode as _decode
from uvicorn import Config
from uvicorn.server import ServerState

from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement, Scale
from schemas.codec import decode_command, encode
from schemas.executions import RULES_LEVEL, Outcomes
from schemas.orders import OrderRecord, OrderTrade
from schemas.topics import BROKERS, COMMANDS
from services.api.app import ApiApp
from services.api.brokers import BrokerDirectory
from services.api.connection_limits import ConnectionLimits
from services.api.direct import awaited
from services.api.direct_protocol import direct_protocol
from services.api.framework import Caller, ServiceRouter, make_framework
from services.api.messages import AsgiApp, Receive, Request, Response, Route, Scope, Send
from services.api.partition_map import PartitionMap
from services.api.protocol import HttpProtocol
from services.api.rate_limits import RateLimiter, RateLimits
from services.api.server import health_router
from services.gateway.wiring import at_hand_of, lookup_of
from services.ingest.app import Ingest
from services.ingest.context import IngestContext
from services.ingest.lookup import OrderViews
from services.ingest.publish import Publisher
from services.ingest.waiters import Waiters
from services.matcher.engine import Engine, EnginePosition
from services.reader.app import Reader
from services.reader.views import Views
from services.runtime.clock import now_ms
from services.runtime.health import Health
from services.runtime.kafka.dispatcher import OnRecord
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition
from services.runtime.kafka.producer import DeliveryResult
from services.runtime.settings import Settings

ADMIN_KEY = "the admin key of a benchmark"
OK = range(200, 300)
# Never reached: the outcome follows at once.
WAIT_MS = 10_000
BATCH_ORDERS = 20
BALANCE_BY_FASTAPI = "/fastapi/balance"


class MemoryLog:
    """A stand-in for Kafka and the matcher: a sender for ingest that passes outcomes on."""

    available = True

    def __init__(
        self,
        on_outcome: Callable[[int, bytes], None],
        on_broker: OnRecord,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._clock = clock
        self._engine = Engine(0)
        self._on_outcome = on_outcome
        self._on_broker = on_broker
        self._loop = asyncio.get_running_loop()
        self._offsets = count()

    def send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        result: Callable[[DeliveryResult], None],
    ) -> None:
        """Store the record at once; a command's outcome follows."""
        result("stored")
        if topic == BROKERS.name:
            self._on_broker(key, value)
        if topic != COMMANDS.name:
            return
        offset = next(self._offsets)
        outcome = self._engine.apply(
            decode_command(value), EnginePosition(0, offset, self._clock())
        )
        self._loop.call_soon(self._on_outcome, offset + 1, encode(Outcomes(0, offset, (outcome,))))


class NoArchive:
    """A stand-in for the database that contains no rows; these benchmarks do not query it."""

    async def order(self, order_id: str) -> OrderRecord | None:
        """Always None."""
        return None

    async def trades(self, order_id: str, before: str | None, limit: int) -> list[OrderTrade]:
        """Always empty."""
        return []

    async def positions(self) -> dict[int, int]:
        """Store nothing."""
        return {}


class Gateway:
    """Ingest and reader on one edge. Call it on the running loop."""

    def __init__(
        self,
        clock: Callable[[], int] = now_ms,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        directory = BrokerDirectory(ADMIN_KEY)
        self._reader = Reader(Views(), NoArchive(), directory, lambda: True, lambda _: 0, clock)
        self._filter = ExecutionFilter({0: FilterPosition(1, 0, 0)})
        context = IngestContext(
            publisher=Publisher(
                MemoryLog(self._on_outcome, directory.apply, clock),
                in_flight_max=1,
                delivery_timeout_ms=1_000,
                window_s=0.0,
            ),
            waiters=Waiters(asyncio.get_running_loop()),
            views=OrderViews(
                lookup_of(self._reader),
                at_hand=at_hand_of(self._reader),
            ),
            partition_map=PartitionMap(1),
            rate_limiter=RateLimiter(RateLimits()),
            loop=asyncio.get_running_loop(),
            topic_prefix="",
            partitions=1,
            outcome_wait_ms=WAIT_MS,
            clock=clock,
            randomness=randomness,
            rules_level=lambda _: RULES_LEVEL,
        )
        self._ingest = Ingest(context, directory)
        routes = [*self._ingest.routes(), *self._reader.routes()]
        # The same answer as the hot GET /balance, to measure the cost of the framework.
        balance = Route("GET", BALANCE_BY_FASTAPI, self._get_balance, "broker", "balance")
        routers = [
            self._ingest.router(),
            health_router(Health(), Settings()),
            ServiceRouter([balance]),
        ]
        self.edge = ApiApp(routes, directory, make_framework("Exchange", routes, routers))

    async def _get_balance(self, broker: Caller) -> Response:
        return await awaited(self._reader.get_balance)(Request(broker=broker))

    def _on_outcome(self, record: int, value: bytes) -> None:
        batch = self._filter.accept(0, record, value)
        if batch is not None:
            self._reader.apply(batch)
            self._ingest.on_batch(batch)


Answer = tuple[int, bytes]
Ask = Callable[[str, str, str, bytes], Awaitable[Answer]]


async def _floor(_: Scope, __: Receive, send: Send) -> None:
    """The minimal ASGI app: no route, no key, no body."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def over_asgi(app: AsgiApp) -> Ask:
    """Call the app as a server would, without a server."""

    async def ask(method: str, path: str, key: str, body: bytes) -> Answer:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(n.lower().encode(), v.encode()) for n, v in _headers(key, body)],
        }
        await app(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]

    return ask


class KeptTransport(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        """Keep the data until it is taken."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """Always False: the connection never closes."""
        return False


def over_http(app: AsgiApp) -> Ask:
    """Request bytes into the services' HTTP protocol and response bytes out, without a socket."""
    kind = direct_protocol(ConnectionLimits(), app) if isinstance(app, ApiApp) else HttpProtocol
    config = Config(app, lifespan="off", access_log=False, log_config=None, server_header=False)
    protocol = kind(config, ServerState(), {}, asyncio.get_running_loop())
    wire = KeptTransport()
    protocol.connection_made(wire)

    async def ask(method: str, path: str, key: str, body: bytes) -> Answer:
        head = "".join(f"{name}: {value}\r\n" for name, value in _headers(key, body))
        protocol.data_received(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        while not protocol.cycle.response_complete:  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0)
        raw = b"".join(wire.written)
        wire.written.clear()
        head_bytes, _, answered = raw.partition(b"\r\n\r\n")
        return int(head_bytes[9:12]), answered

    return ask


def _headers(key: str, body: bytes) -> Iterator[tuple[str, str]]:
    yield "Host", "127.0.0.1:8000"
    yield "Authorization", f"Bearer {key}"
    yield "User-Agent", "loadgen"
    yield "Accept", "*/*"
    if body:
        yield "Content-Type", "application/json"
        yield "Content-Length", str(len(body))


def calls(scale: Scale) -> Benchmark:
    """Every call of the API, one after the other on one connection."""
    return Benchmark([CurvePoint(None, lambda: _measured(scale.operations // 4))])


def _measured(times: int) -> Iterable[Measurement]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(times))


async def _measure(times: int) -> list[Measurement]:
    found = []
    for way, over in (("ASGI", over_asgi), ("HTTP", over_http)):
        session = EdgeSession(over(Gateway().edge), times)
        found += [Measurement(f"{name}, {way}", ns, "ns") for name, ns in await session.run()]
        ns = await timed(over(_floor), [("GET", "/", "", b"")] * times)
        found.append(Measurement(f"an app that does nothing, {way}", ns, "ns"))
    return found


class EdgeSession:
    """Two brokers that trade with each other through one gateway; each call is repeated."""

    def __init__(self, ask: Ask, times: int) -> None:
        self._ask = ask
        self._times = times

    async def run(self) -> list[tuple[str, float]]:
        """Nanoseconds per call. Raises RuntimeError when a call does not succeed."""
        maker, taker = [await self._registered() for _ in range(2)]
        posts = ("POST", "/orders", maker)
        asks = [(*posts, _order("ask", 1_000 + n % 50)) for n in range(self._times)]
        bids = [("POST", "/orders", taker, _order("bid", 2_000)) for _ in range(self._times)]
        found = [("POST /orders, rests", await timed(self._ask, asks))]
        found.append(("POST /orders, fills one", await timed(self._ask, bids)))
        batches = [
            ("POST", "/orders/batch", maker, _batch(number))
            for number in range(max(1, self._times // BATCH_ORDERS))
        ]
        ns = await timed(self._ask, batches)
        found.append((f"POST /orders/batch, each of {BATCH_ORDERS}", ns / BATCH_ORDERS))
        ids = [await self._placed(maker) for _ in range(self._times)]
        for name, path in (
            ("GET /orders/{id}", f"/orders/{ids[0]}"),
            ("GET price", "/stocks/PETR4/price"),
            ("GET book", "/stocks/PETR4/book"),
            ("GET /balance", "/balance"),
            ("GET /balance by FastAPI", BALANCE_BY_FASTAPI),
            ("GET /livez", "/livez"),
        ):
            found.append((name, await timed(self._ask, [("GET", path, maker, b"")] * self._times)))
        cancels = [("POST", f"/orders/{order_id}/cancel", maker, b"") for order_id in ids]
        found.append(("POST cancel", await timed(self._ask, cancels)))
        register = ("POST", "/register", ADMIN_KEY, b'{"name":"One of many"}')
        found.append(("POST /register", await timed(self._ask, [register] * self._times)))
        return found

    async def _registered(self) -> str:
        return await self._field("api_key", "/register", ADMIN_KEY, b'{"name":"A broker"}')

    async def _placed(self, key: str) -> str:
        return await self._field("order_id", "/orders", key, _order("ask", 5_000))

    async def _field(self, name: str, path: str, key: str, body: bytes) -> str:
        status, raw = await self._ask("POST", path, key, body)
        _require(status, path, raw)
        return str(_decode(raw)[name])


async def timed(ask: Ask, requests: Iterable[tuple[str, str, str, bytes]]) -> float:
    """Nanoseconds per sequential request. Raises RuntimeError when a request is refused."""
    given = list(requests)
    start_ns = time.perf_counter_ns()
    answers = [await ask(*request) for request in given]
    ns = (time.perf_counter_ns() - start_ns) / len(given)
    for status, raw in answers:
        _require(status, given[0][1], raw)
    return ns


def _require(status: int, path: str, raw: bytes) -> None:
    if status not in OK:
        raise RuntimeError(f"{path} was answered {status}: {raw[:200].decode(errors='replace')}")


def _batch(number: int) -> bytes:
    # Orders that rest, at the prices of the single ones.
    items = [
        b'{"place":%b,"client_order_id":"%d-%d"}}' % (_order("ask", 1_000 + n)[:-1], number, n)
        for n in range(BATCH_ORDERS)
    ]
    return b'{"items":[%b]}' % b",".join(items)


def _order(side: str, price: int) -> bytes:
    return (
        f'{{"document_number":"12345678901","side":"{side}","symbol":"PETR4",'
        f'"price":{price},"quantity":100}}'
    ).encode()
