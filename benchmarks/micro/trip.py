"""End-to-end benchmark: time from when an order was due to its answer, and to its trade.

Orders come in pairs that match, an ask and then the bid that takes it, as an open loop at a steady
rate. Each pair has a distinct price; a consumer of the public topic observes the trade.
"""

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import partial

import aiohttp
import uvloop

from benchmarks.micro.context import Context
from benchmarks.micro.errors import BenchError
from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement
from benchmarks.micro.kafka import readings
from loadgen.client.setup import register
from loadgen.workload.tickers import tickers
from schemas.codec import decode_trade
from schemas.topics import TRADES
from schemas.topology import Durability
from services.local.exchange import LocalExchange, running_exchange
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.settings import Settings

# Orders per second; the last rate is 100 % of B3.
RATES = (100, 300, 700)
# Enough symbols that one repeats only seconds later, after its previous pair has matched; otherwise
# orders of different pairs could match.
SYMBOLS = 1_000
PRICE_FIRST = 1_000
# 202: the outcome took longer than the gateway waits; the figure includes that time.
ACCEPTED = (201, 202)
# Seconds after which a trade that was not observed counts as lost.
SEEN_TIMEOUT_S = 10.0
# Warm-up: open connections and fill caches before the measurement.
WARM_UP_S = 1.0


class Trades:
    """A consumer of the public topic, from its end: the time at which each price first appeared."""

    def __init__(self, stack: LocalExchange) -> None:
        self._consumer = LogConsumer(
            kafka_access(stack.operator), Fetch(wait_ms=5, bytes_min=1), committed=True
        )
        where = [
            Partition(TRADES.full_name(stack.topic_prefix), number)
            for number in range(stack.settings.partitions)
        ]
        self._consumer.assign({one: self._consumer.range(one).end for one in where})
        self.seen_s: dict[int, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="trades", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            for message in self._consumer.poll(1_000, 0.1):
                self.seen_s.setdefault(decode_trade(message.value()).price, time.perf_counter())

    def close(self) -> None:
        """Stop consuming."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()


class Trip:
    """Pairs of orders through one exchange; no price occurs twice."""

    def __init__(self, stack: LocalExchange) -> None:
        self._stack = stack
        self._symbols = tickers(SYMBOLS)
        self._keys = [
            broker.api_key for broker in uvloop.run(register(stack.url, stack.admin_key, 2))
        ]
        self._price = PRICE_FIRST

    def run(self, rate: int, seconds: float) -> tuple[list[float], list[float]]:
        """Milliseconds until each answer, and until each trade. Raises BenchError."""
        pairs = max(1, int(rate * seconds / 2))
        first, self._price = self._price, self._price + pairs
        with closing(Trades(self._stack)) as trades:
            answers_ms, due_s = uvloop.run(self._send(range(first, self._price), rate))
            deadline = time.monotonic() + SEEN_TIMEOUT_S
            while len(trades.seen_s) < pairs and time.monotonic() < deadline:
                time.sleep(0.01)
            return answers_ms, _until_seen(due_s, trades.seen_s)

    async def _send(self, prices: Iterable[int], rate: int) -> tuple[list[float], dict[int, float]]:
        due_at: dict[int, float] = {}
        orders: list[asyncio.Task[float]] = []
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            start_s = time.perf_counter()
            for price in prices:
                for side in (0, 1):
                    due_s = start_s + len(orders) / rate
                    if (left_s := due_s - time.perf_counter()) > 0:
                        await asyncio.sleep(left_s)
                    due_at[price] = due_s
                    placing = self._place(session, price, side, due_s)
                    orders.append(asyncio.create_task(placing))
            try:
                answers_ms = await asyncio.gather(*orders)
            except (aiohttp.ClientError, OSError) as error:
                raise BenchError(f"{self._stack.url}: {error}") from error
        return answers_ms, due_at

    async def _place(
        self, session: aiohttp.ClientSession, price: int, side: int, due_s: float
    ) -> float:
        body = (
            f'{{"document_number":"1","side":"{("ask", "bid")[side]}","quantity":100,'
            f'"symbol":"{self._symbols[price % SYMBOLS]}","price":{price}}}'
        )
        headers = {
            "Authorization": f"Bearer {self._keys[side]}",
            "Content-Type": "application/json",
        }
        async with session.post(f"{self._stack.url}/orders", data=body, headers=headers) as answer:
            raw = await answer.read()
        took_ms = (time.perf_counter() - due_s) * 1e3
        if answer.status not in ACCEPTED:
            raise BenchError(f"an order was answered {answer.status}: {raw[:200]!r}")
        return took_ms


def _until_seen(due_s: Mapping[int, float], seen_s: Mapping[int, float]) -> list[float]:
    missing = len(due_s.keys() - seen_s.keys())
    if missing:
        raise BenchError(f"{missing} of {len(due_s)} trades were not seen in the public topic")
    return [(seen_s[price] - due) * 1e3 for price, due in due_s.items()]


def tripping(mode: Durability, context: Context) -> Benchmark:
    """Measure each rate on an exchange with this durability mode."""
    servers = context.servers
    settings = Settings(
        port=0,
        kafka=servers.kafka(),
        database_url=servers.database(),
        topic_prefix=f"{servers.name('trip')}.",
        durability=mode,
    )
    context.show("starting an exchange")
    folder = servers.folder / servers.name("exchange")
    trip = Trip(context.ending.enter_context(running_exchange(folder, settings)))
    trip.run(max(RATES), WARM_UP_S)

    def measure(rate: int) -> Iterable[Measurement]:
        answers_ms, trades_ms = trip.run(rate, context.scale.rate_s)
        yield from readings("answer ", answers_ms)
        yield from readings("trade event ", trades_ms)

    return Benchmark(
        [CurvePoint(rate, partial(measure, rate)) for rate in RATES], "orders a second"
    )
