"""Queries at a steady rate: own orders, and candles of a symbol that has enough of them."""

import asyncio
import itertools
import time
from typing import Any, Final, LiteralString

import psycopg
from msgspec import Struct

from loadgen.client.http_requests import RequestEncoder
from loadgen.client.pool import Pool

PER_SECOND: Final = 10
ORDERS: Final = "orders?limit=100"
CANDLES: Final = "candles?limit=500"
_OK: Final = 200
# A fresh exchange is minutes old: the candles before are made up.
_FILL: LiteralString = """
    INSERT INTO candles (partition, symbol, interval, start, open, high, low, close, volume, value,
        trades, first_sequence, last_sequence)
    SELECT partition, symbol, interval, start - n * interval '1 minute', open, high, low, close,
        volume, value, trades, first_sequence, last_sequence
    FROM (SELECT * FROM candles WHERE symbol = %s AND interval = '1m' ORDER BY start LIMIT 1) first,
        generate_series(1, %s) n
"""


def make_up_candles(database_url: str, symbol: str, count: int) -> int:
    """Store so many candles before the symbol's first one; the number that was stored."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(_FILL, (symbol, count)).rowcount


class QueriesReport(Struct):
    """Microseconds of each query, and answers that were no 200. `bytes_max`: the largest answer."""

    times_us: dict[str, list[int]]
    failed: int
    bytes_max: dict[str, int]


class Queries(Struct):
    """Sends both queries in turns, as different brokers, whatever their answers take."""

    url: str
    api_keys: tuple[str, ...]
    symbol: str
    _pool: Any = None
    _task: Any = None
    _report: Any = None

    async def begin(self) -> None:
        """Begin to send."""
        self._pool = Pool(self.url)
        self._report = QueriesReport({ORDERS: [], CANDLES: []}, 0, {ORDERS: 0, CANDLES: 0})
        self._task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        encoder = RequestEncoder(self.url, self.api_keys, respond_async=False)
        paths = {ORDERS: f"/{ORDERS}", CANDLES: f"/stocks/{self.symbol}/{CANDLES}"}
        brokers = itertools.cycle(range(len(self.api_keys)))
        due_s = time.monotonic()
        for name in itertools.cycle(paths):
            self._ask(name, encoder.get(next(brokers), paths[name]), due_s)
            due_s += 1 / (PER_SECOND * len(paths))
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    def _ask(self, name: str, request: bytes, due_s: float) -> None:
        found = self._report

        def done(status: int, body: bytes) -> None:
            if status == _OK:
                found.times_us[name].append(int((time.monotonic() - due_s) * 1e6))
                found.bytes_max[name] = max(found.bytes_max[name], len(body))
            else:
                found.failed += 1

        self._pool.send(request, done)

    async def end(self) -> QueriesReport:
        """Stop sending."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._pool.close()
        report: QueriesReport = self._report
        return report
