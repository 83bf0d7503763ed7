"""Live feeds beside the requests: N connections in a process of their own.

Of 100 connections, 90 are pages (ladder, trades, candles and 20 tickers), 9 algorithms (books and
trades of 10 symbols) and one is a broker (own events). The first of each kind are followed in full
by the client package; of the others bytes are counted, or the generator would measure itself.
"""

import asyncio
import itertools
import json
import multiprocessing
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Final

import uvloop
from aiohttp import ClientError as HttpError
from aiohttp import ClientSession, ClientTimeout, TCPConnector, WSMsgType
from msgspec import Struct

from exchange_client import (
    AsyncClient,
    BookUnknown,
    Channels,
    ClientError,
    Disconnected,
    TradesMissing,
)
from loadgen.client.workers import start_ignoring_signals

# Connections of each kind that are followed in full.
CHECKED_MAX: Final = 10
PAGE_TICKERS: Final = 20
ALGORITHM_SYMBOLS: Final = 10
# Connections that are opened at once.
OPENING_MAX: Final = 50
OPEN_S_MAX: Final = 60.0
CLOSE_S_MAX: Final = 10.0


class StreamsJob(Struct, frozen=True):
    """Connections to open. `symbols` with their shares of the volume."""

    url: str
    api_keys: tuple[str, ...]
    symbols: dict[str, int]
    count: int
    seed: int


class StreamsReport(Struct, frozen=True):
    """Messages and bytes that the connections received.

    `lost`: how often a connection ended, or could not be opened. `books_unknown` and
    `trades_missing`: how often a followed feed had to repair itself.
    """

    count: int = 0
    messages: int = 0
    received_bytes: int = 0
    lost: int = 0
    books_unknown: int = 0
    trades_missing: int = 0
    duration_s: float = 0.0
    cpu_s: float = 0.0

    def line(self) -> str:
        """The report as text."""
        second = max(self.duration_s, 0.001)
        return (
            f"streams     {self.count:>10,}  {self.messages / second:,.0f} messages/s, "
            f"{self.received_bytes / second / 1e6:.2f} MB/s; {self.lost} lost, "
            f"{self.books_unknown} books unknown, {self.trades_missing} times trades missing"
        )


def channels_of(count: int, symbols: Mapping[str, int], seed: int) -> Iterator[Channels]:
    """The subscriptions of each connection; symbols are drawn by volume."""
    rng = random.Random(seed)
    names, shares = list(symbols), list(symbols.values())
    for number in range(count):
        if number % 100 == 0:
            yield Channels(own_events=True)
        elif number % 100 < ALGORITHM_SYMBOLS:
            drawn = list(dict.fromkeys(rng.choices(names, shares, k=ALGORITHM_SYMBOLS)))
            yield Channels(books=drawn, trades=drawn)
        else:
            one = rng.choices(names, shares)
            tickers = rng.sample(names, min(PAGE_TICKERS, len(names)))
            yield Channels(ladders=one, trades=one, candles=one, tickers=tickers)


@contextmanager
def streams(job: StreamsJob) -> Iterator[list[StreamsReport]]:
    """Keep the connections open; the list has their report afterwards."""
    reports: list[StreamsReport] = []
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_follow, args=(job, theirs), daemon=True)
    start_ignoring_signals(process)
    theirs.close()
    try:
        if ours.poll(OPEN_S_MAX):
            ours.recv()
        yield reports
        ours.send(None)
        if ours.poll(CLOSE_S_MAX):
            reports.append(ours.recv())
    finally:
        process.kill()
        process.join()


def _follow(job: StreamsJob, pipe: Connection) -> None:
    """Entry point: sends None when all are open, receives the end, sends the report."""
    uvloop.run(_Streams(job).run(pipe))


class _Streams:
    """The connections of a job."""

    def __init__(self, job: StreamsJob) -> None:
        self._job = job
        self._opening = asyncio.Semaphore(OPENING_MAX)
        self._messages = self._bytes = self._lost = self._unknown = self._missing = 0
        self._open = 0
        self._all_open = asyncio.Event()

    async def run(self, pipe: Connection) -> None:
        started, cpu_before = time.monotonic(), time.process_time()
        http = ClientSession(
            connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None), trust_env=False
        )
        job, followed = self._job, {"own": 0, "algorithm": 0, "page": 0}
        keys = itertools.cycle(job.api_keys)
        tasks = []
        for channels, key in zip(channels_of(job.count, job.symbols, job.seed), keys, strict=False):
            kind = "own" if channels.own_events else "algorithm" if channels.books else "page"
            followed[kind] += 1
            work = (
                self._check(channels, key)
                if followed[kind] <= CHECKED_MAX
                else self._count(http, channels, key)
            )
            tasks.append(asyncio.create_task(work))
        with suppress(TimeoutError):
            async with asyncio.timeout(OPEN_S_MAX):
                await self._all_open.wait()
        pipe.send(None)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), ended.set)
        await ended.wait()
        pipe.send(self._report(time.monotonic() - started, time.process_time() - cpu_before))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await http.close()

    def _report(self, duration_s: float, cpu_s: float) -> StreamsReport:
        return StreamsReport(
            self._job.count,
            self._messages,
            self._bytes,
            self._lost,
            self._unknown,
            self._missing,
            duration_s,
            cpu_s,
        )

    async def _check(self, channels: Channels, key: str) -> None:
        """Follow a feed in full."""
        is_open = False
        async with AsyncClient(self._job.url, key) as client, client.feed(channels) as feed:
            try:
                async for event in feed:
                    if not is_open:
                        is_open = True
                        self._note_open()
                    self._messages += 1
                    self._lost += isinstance(event, Disconnected)
                    self._unknown += isinstance(event, BookUnknown)
                    self._missing += isinstance(event, TradesMissing)
            except ClientError:
                self._lost += 1
                self._note_open()

    async def _count(self, http: ClientSession, channels: Channels, key: str) -> None:
        """Count what a feed receives."""
        try:
            async with self._opening:
                socket = await http.ws_connect(self._job.url + "/ws", max_msg_size=0)
                for text in _operations(channels, key):
                    await socket.send_str(text)
                self._note_open()
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                self._messages += 1
                self._bytes += len(message.data)
        except (HttpError, OSError):
            pass
        self._lost += 1

    def _note_open(self) -> None:
        """Note that another connection is open, or cannot be."""
        self._open += 1
        if self._open >= self._job.count:
            self._all_open.set()


def _operations(channels: Channels, key: str) -> Iterator[str]:
    wishes: list[dict[str, Any]] = [{"op": "login", "key": key}]
    wishes += [{"op": "subscribe", **fields} for fields in channels.whole()]
    wishes += [{"op": "subscribe", **fields} for fields in channels.resumed_trades({})]
    if channels.own_events:
        wishes.append({"op": "subscribe", "channel": "orders"})
    for number, fields in enumerate(wishes):
        yield json.dumps({"id": number, **fields})
