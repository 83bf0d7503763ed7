"""Sends market data to the clients of one gateway: ten flushes a second, one write per client.

A flush works in slices, so that requests between them see no delay. Encoding happens once per
message; what is done per client is joining bytes.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from msgspec import UNSET

from schemas.feed import Closing, Heartbeat, OperationsMessage, TickerMessage, TradeMessage
from schemas.feed_requests import LadderDepth, Subscribe
from schemas.operations import OperationsResource
from services.feeds.client import GRACE_MS, FeedClient, Reason, Subject
from services.feeds.known_trades import KnownTrades
from services.feeds.market import MarketChanges
from services.feeds.messages import (
    delta_of,
    frame_of,
    ladder_of,
    snapshot_of,
    tickers_of,
    touches_ladder,
)
from services.feeds.own_feed import OwnFeed
from services.feeds.resuming import resumed
from services.feeds.rota import Rota
from services.feeds.slices import Slices
from services.feeds.stored_trades import StoredTrades
from services.feeds.subscriptions import Subscriptions
from services.feeds.ticker_changes import EVERY
from services.reader.views import Views
from services.runtime.clock import now_ms
from services.runtime.metrics import (
    STREAM_CONFLATED,
    STREAM_MESSAGES,
    STREAM_SUBSCRIPTIONS,
    STREAMS_CUT,
)

log = logging.getLogger(__name__)

FLUSH_S: Final = 0.1
HEARTBEAT_S: Final = 5
TICKERS_S: Final = 1.0
CANDLES_S: Final = 0.25
# Of the first message about operations, one a second; the later ones come with the tickers.
OPERATIONS_SAMPLES: Final = 600
# Of all clients; beyond it those that wait for most are cut.
WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
# Levels of the largest book that is sent as a whole, as in the public topic.
BOOK_LEVELS_MAX: Final = 20_000
SLOW_CONSUMER: Final = 4413
RESTART: Final = 1012

_DEPTHS: Final[tuple[LadderDepth, ...]] = (10, 50)
OWN_EVENTS: Final = Subject("orders", "")
OPERATIONS: Final = Subject("operations", "")
ALL_TICKERS: Final = Subject("ticker", EVERY)
# Whole messages of one client, in one flush.
_ORDER: Final = ("trades", "book", "ladder", "ticker", "candles", "operations")


class FeedHub:
    """The clients, their subscriptions, and the flushes. Lives on the loop's thread."""

    def __init__(
        self,
        views: Callable[[], Views],
        ready: Callable[[], bool],
        own: OwnFeed,
        partitions: int = 1,
    ) -> None:
        self.views = views
        self.partitions = partitions
        self.own = own
        # The state of the pipeline with so many samples, and nothing where there is none.
        self.operations: Callable[[int], OperationsResource] | None = None
        # True once the views contain what the topics held at the start.
        self.ready = ready
        self.changes = MarketChanges(views, now_ms)
        self.trades = KnownTrades(views, self.changes)
        self.stored = StoredTrades()
        self._clients: dict[FeedClient, None] = {}
        self._subscriptions = Subscriptions(self.changes)
        # The clients that do not read fast enough: few, so that no flush looks at all.
        self._behind: dict[FeedClient, None] = {}
        self._heartbeats: Rota[FeedClient] = Rota(HEARTBEAT_S)
        # Clients with a whole message due.
        self._due: dict[FeedClient, None] = {}
        # When tickers and candles are next sent.
        self._next_s: dict[float, float] = {}
        # The next command of each partition at the begin of the newest flush, joined by dots.
        self._flushed = ""

    def __len__(self) -> int:
        return len(self._clients)

    def clients(self) -> list[FeedClient]:
        """All clients at this moment."""
        return list(self._clients)

    def add(self, client: FeedClient) -> None:
        """Add a client without subscriptions."""
        self._clients[client] = None
        self._heartbeats.add(client)
        client.all_behind = self._behind

    def remove(self, client: FeedClient) -> None:
        """Forget a client whose connection ended."""
        self._clients.pop(client, None)
        self._heartbeats.remove(client)
        self._behind.pop(client, None)
        # A connection that closes may still fall behind.
        client.all_behind = {}
        self._due.pop(client, None)
        self.stored.drop(client)
        for subject in list(client.subjects):
            self.unsubscribe(client, subject)

    def book_too_deep(self, symbol: str) -> bool:
        """True for a book with too many levels to be sent as a whole."""
        book = self.views().book_view(symbol)
        return book.depth("bid") + book.depth("ask") > BOOK_LEVELS_MAX

    def subscribe(self, client: FeedClient, subject: Subject) -> None:
        """Add a subscription; what is now follows with the next flush."""
        if not self._subscriptions.add(client, subject):
            return
        STREAM_SUBSCRIPTIONS.labels(subject.channel).inc()
        if subject.channel != "trades":
            self.request(client, subject, "subscribed")
            if subject == ALL_TICKERS:
                self._next_s.pop(TICKERS_S, None)

    def unsubscribe(self, client: FeedClient, subject: Subject) -> None:
        """End a subscription; an unknown one is no error."""
        if subject in client.subjects:
            STREAM_SUBSCRIPTIONS.labels(subject.channel).dec()
        if subject == OWN_EVENTS:
            client.subjects.pop(OWN_EVENTS, None)
            self.own.unsubscribe(client)
        else:
            self._subscriptions.remove(client, subject)

    def subscribe_own(
        self, client: FeedClient, broker_id: str, after: Mapping[int, int] | None
    ) -> None:
        """Begin with the broker's events beyond `after`, or None a snapshot; the first portion is
        sent at once."""
        self.unsubscribe(client, OWN_EVENTS)
        client.subjects[OWN_EVENTS] = None
        STREAM_SUBSCRIPTIONS.labels("orders").inc()
        self.own.subscribe(client, broker_id, after)

    def request(self, client: FeedClient, subject: Subject, reason: Reason) -> None:
        """A whole message of this subject is due to the client."""
        client.due[subject] = reason
        self._due[client] = None

    def subscribers(self, subject: Subject) -> Mapping[FeedClient, None]:
        """The clients of a subject at this moment."""
        return self._subscriptions.of(subject)

    async def run(self) -> None:
        """Flush until cancelled.

        After an unexpected error all clients are closed: what they missed is unknown, and they
        resume from what they have.
        """
        while True:
            started_s = time.monotonic()
            try:
                await self.flush()
            except Exception:
                log.exception("a flush of the feeds failed")
                self.close()
            spent_s = time.monotonic() - started_s
            await asyncio.sleep(max(0.0, FLUSH_S - spent_s))

    async def flush(self) -> None:
        """Send all changes up to now, whole messages that are due, and heartbeats."""
        now_s = time.monotonic()
        slices = Slices()
        # What these commands changed is sent by this flush at the latest.
        flushed = self._position()
        written: dict[FeedClient, None] = {}
        for symbol in self.changes.changed():
            self._send_changes(symbol, written)
            await slices.turn()
        if self._is_time(TICKERS_S, now_s):
            await self._send_tickers(written, slices)
            if self._subscriptions.of(OPERATIONS):
                self.conflate(OPERATIONS, self._operations(1), written)
        if self._is_time(CANDLES_S, now_s):
            await self._send_candles(written, slices)
        await self._send_all_due(written, slices)
        for client in self.own.behind():
            # Each portion is written, which shows whether the client reads it.
            while self.own.advance(client) and not client.behind:
                client.write_out()
                await slices.turn()
            written[client] = None
        self._flushed = flushed
        self._send_heartbeats(now_s, written)
        for client in written:
            client.write_out()
            await slices.pause()
        self._cut_slow(time.monotonic())
        slices.end()

    def _is_time(self, interval_s: float, now_s: float) -> bool:
        """True once per interval; each kind of message has an interval of its own."""
        if now_s < self._next_s.get(interval_s, 0.0):
            return False
        self._next_s[interval_s] = now_s + interval_s
        return True

    def _send_changes(self, symbol: str, written: dict[FeedClient, None]) -> None:
        changes = self.changes.take(symbol)
        self._send_trades(symbol, changes.trades, written)
        if changes.book is None:
            return
        book, clock = self.views().book_view(symbol), self.views().clock(symbol, now_ms())
        phase = self.views().instruments.phase(symbol)
        whole_book = changes.book.levels is None
        for subject in (Subject("book", symbol), *(Subject("ladder", symbol, d) for d in _DEPTHS)):
            subscribers = self._subscriptions.of(subject)
            if not subscribers:
                continue
            if whole_book or not any(client.takes(subject) for client in subscribers):
                # A change that no client takes is not encoded.
                for client in subscribers:
                    client.due.setdefault(subject, "conflated")
                    self._due[client] = None
                continue
            if subject.depth == 0:
                frame = delta_of(symbol, book, clock, phase, changes.book)
            elif touches_ladder(book, changes.book, subject.depth):
                frame = ladder_of(symbol, book, clock, subject.depth)
            else:
                continue
            self.conflate(subject, frame, written)

    def conflate(self, subject: Subject, frame: bytes, written: dict[FeedClient, None]) -> None:
        """Send a message of a conflated channel to its subscribers."""
        subscribers = self._subscriptions.of(subject)
        STREAM_MESSAGES.labels(subject.channel).inc(len(subscribers))
        for client in subscribers:
            client.conflate(subject, frame)
            written[client] = None
            if client.due:
                self._due[client] = None

    async def _send_tickers(self, written: dict[FeedClient, None], slices: Slices) -> None:
        changed: list[TickerMessage] = []
        for ticker in self.changes.tickers.take():
            if ticker is not None:
                changed.append(ticker)
                subject = Subject("ticker", ticker.symbol)
                if self._subscriptions.of(subject):
                    self.conflate(subject, frame_of(ticker), written)
            await slices.turn()
        if changed and self._subscriptions.of(ALL_TICKERS):
            self.conflate(ALL_TICKERS, tickers_of(changed), written)

    async def _send_candles(self, written: dict[FeedClient, None], slices: Slices) -> None:
        for symbol, interval, ended, running in self.changes.candles.take():
            subject = Subject("candles", symbol, interval=interval)
            if ended:
                begun = self._subscriptions.begun(subject)
                STREAM_MESSAGES.labels("candles").inc(len(ended) * len(begun))
                self._send_lossless(begun, b"".join(map(frame_of, ended)), written)
            if running is not None:
                self.conflate(subject, frame_of(running), written)
            await slices.turn()

    def _send_trades(
        self, symbol: str, trades: list[TradeMessage], written: dict[FeedClient, None]
    ) -> None:
        frames = b""
        for subject in (Subject("trades", symbol), Subject("trades", EVERY)):
            if trades and self._subscriptions.of(subject):
                frames = frames or b"".join(map(frame_of, trades))
                subscribers = self._subscriptions.of(subject)
                STREAM_MESSAGES.labels("trades").inc(len(trades) * len(subscribers))
                self._send_lossless(subscribers, frames, written)

    @staticmethod
    def _send_lossless(
        clients: Collection[FeedClient], frames: bytes, written: dict[FeedClient, None]
    ) -> None:
        for client in clients:
            client.send(frames)
            written[client] = None

    async def _send_all_due(self, written: dict[FeedClient, None], slices: Slices) -> None:
        for client in list(self._due):
            for subject in sorted(client.due, key=lambda each: _ORDER.index(each.channel)):
                if client.behind or client not in self._clients:
                    break
                # The first tickers of all symbols are computed first: of many, with pauses.
                ready = subject != ALL_TICKERS or self.changes.tickers.is_complete
                if ready and subject in client.due:
                    reason = client.due.pop(subject)
                    if reason == "conflated":
                        STREAM_CONFLATED.labels(subject.channel).inc()
                    client.send(self._whole(subject, reason))
                    STREAM_MESSAGES.labels(subject.channel).inc()
                    written[client] = None
                    await slices.turn()
            if not client.due:
                self._due.pop(client, None)

    def _whole(self, subject: Subject, reason: Reason) -> bytes:
        """The present state of a subject; nothing where the client has it already."""
        symbol, changes = subject.symbol, self.changes
        if subject == OPERATIONS:
            return self._operations(OPERATIONS_SAMPLES)
        if subject.channel == "ticker":
            known = changes.tickers
            return (
                tickers_of(known.all_known()) if symbol == EVERY else frame_of(known.newest(symbol))
            )
        if subject.interval is not None:
            candle = changes.candles.newest(symbol, subject.interval)
            # A closed one is never left out, so only a new subscriber lacks it.
            return b"" if candle.closed and reason == "conflated" else frame_of(candle)
        book, clock = self.views().book_view(symbol), self.views().clock(symbol, now_ms())
        if subject.depth:
            return ladder_of(symbol, book, clock, subject.depth)
        return snapshot_of(symbol, book, clock, self.views().instruments.phase(symbol), reason)

    def _operations(self, samples: int) -> bytes:
        if self.operations is None:
            return b""
        return frame_of(OperationsMessage(self.operations(samples)))

    def _position(self) -> str:
        next_commands = self.views().next_commands()
        return ".".join(str(next_commands.get(each, 0)) for each in range(self.partitions))

    def position_of(self, client: FeedClient) -> str:
        """The position whose changes the client has with its next write; empty if unknown."""
        is_behind = self.own.is_behind(client) or self.stored.is_reading(client)
        return "" if is_behind else self._flushed

    def resumed(
        self, message: Subscribe, commands: Mapping[int, int], broker_id: str | None
    ) -> Subscribe:
        """The subscription, to begin with what these commands changed."""
        return resumed(message, commands, self.changes, self.views(), broker_id)

    def _send_heartbeats(self, now_s: float, written: dict[FeedClient, None]) -> None:
        if clients := self._heartbeats.due(now_s):
            frame = frame_of(Heartbeat(now_ms(), self._flushed, self.ready()))
            self._send_lossless(clients, frame, written)

    def _cut_slow(self, now_s: float) -> None:
        for client in [each for each in self._behind if each.too_slow(now_s)]:
            self.cut(client, SLOW_CONSUMER, "slow_consumer")
        behind = list(self._behind)
        waiting = sum(client.waiting_bytes for client in behind)
        while behind and waiting > WAITING_BYTES_MAX:
            client = max(behind, key=lambda each: each.waiting_bytes)
            behind.remove(client)
            waiting -= client.waiting_bytes
            self.cut(client, SLOW_CONSUMER, "slow_consumer")

    def cut(self, client: FeedClient, code: int, reason: str) -> None:
        """End a client's connection, and forget it."""
        STREAMS_CUT.labels(reason).inc()
        self.remove(client)
        client.output.cut(code, reason)

    def close(self, waiting: Collection[FeedClient] = ()) -> None:
        """End every connection, with a reason: the process stops, or lost track of its changes.
        Those of `waiting` clients stay open, for `GRACE_MS` at most."""
        for client in self.clients():
            client.send(frame_of(Closing("restart", GRACE_MS if client in waiting else UNSET)))
            client.write_out()
            if client not in waiting:
                self.cut(client, RESTART, "restart")
