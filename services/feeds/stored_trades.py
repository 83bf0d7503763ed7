"""Trades that left memory, read from PostgreSQL for clients that come back.

One client is served at a time, in pages, each followed by a pause of the same length, so that the
clients of a restarted gateway leave the loop to orders. A client that would wait for too long gets
what was read until then; its feed names the others as a gap.
"""

import asyncio
import logging
from asyncio import Task
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from msgspec import Struct, field

from schemas import ids
from schemas.feed import TradeMessage
from services.feeds.client import FeedClient
from services.reader.errors import OrderStateUnknownError
from services.reader.tape import TapeTrade

log = logging.getLogger(__name__)

WAIT_S_MAX: Final = 2.0
# About 2 ms of work.
PAGE: Final = 250

History = Callable[[str, range], Awaitable[list[TapeTrade]]]


class Missing(Struct, frozen=True):
    """Sequences of a symbol's trades that left memory, and the trades behind them that are there
    now: they may leave it while the others are read."""

    wanted: range
    known: list[TradeMessage]


class Stored(Struct):
    """Trades by symbol, oldest first. `is_away`: PostgreSQL did not answer in time."""

    trades: dict[str, list[TradeMessage]] = field(default_factory=dict)
    is_away: bool = False


class _Read(Struct):
    begin: Callable[[Stored], None]
    stored: Stored


class StoredTrades:
    """Reads on behalf of clients. `history` reads trades of a symbol by their sequences, and raises
    OrderStateUnknownError; None: there is no database."""

    def __init__(self) -> None:
        self.history: History | None = None
        self._turn = asyncio.Lock()
        self._reads: dict[FeedClient, dict[Task[None], _Read]] = {}

    def read(
        self, client: FeedClient, missing: Mapping[str, Missing], begin: Callable[[Stored], None]
    ) -> None:
        """Read these trades by symbol, then call `begin`, unless the client is dropped."""
        stored = Stored({symbol: list(each.known) for symbol, each in missing.items()})
        task = asyncio.get_running_loop().create_task(self._read(missing, stored))
        self._reads.setdefault(client, {})[task] = _Read(begin, stored)
        task.add_done_callback(partial(self._done, client))

    async def _read(self, missing: Mapping[str, Missing], stored: Stored) -> None:
        try:
            async with asyncio.timeout(WAIT_S_MAX), self._turn:
                for symbol, each in missing.items():
                    await self._read_symbol(symbol, each.wanted, stored.trades[symbol])
        except (OrderStateUnknownError, TimeoutError):
            stored.is_away = True
        except Exception:
            log.exception("stored trades could not be read")
            stored.is_away = True

    async def _read_symbol(self, symbol: str, wanted: range, found: list[TradeMessage]) -> None:
        if self.history is None:
            return
        loop = asyncio.get_running_loop()
        # The newest first: what a client gets has no gap but at its begin.
        for end in range(wanted.stop, wanted.start, -PAGE):
            started_s = loop.time()
            page = await self.history(symbol, range(max(wanted.start, end - PAGE), end))
            found[:0] = [_message(symbol, trade) for trade in page]
            await asyncio.sleep(loop.time() - started_s)

    def _done(self, client: FeedClient, task: Task[None]) -> None:
        read = self._reads.get(client, {}).pop(task, None)
        if not self._reads.get(client, True):
            del self._reads[client]
        if read is not None:
            read.begin(read.stored)

    def is_reading(self, client: FeedClient) -> bool:
        """True while the client lacks trades that are being read."""
        return client in self._reads

    def finish(self, client: FeedClient) -> None:
        """End the reads of a client; its subscriptions begin with what was read."""
        for task, read in self._reads.pop(client, {}).items():
            task.cancel()
            read.begin(read.stored)

    def drop(self, client: FeedClient) -> None:
        """End the reads of a client that is gone."""
        for task in self._reads.pop(client, {}):
            task.cancel()


def _message(symbol: str, trade: TapeTrade) -> TradeMessage:
    return TradeMessage(
        symbol,
        trade.sequence,
        trade.trade_id,
        trade.time,
        trade.price,
        trade.quantity,
        trade.aggressor_side,
        *ids.place_of(trade.trade_id),
    )
