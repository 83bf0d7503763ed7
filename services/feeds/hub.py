"""Sends market data to the clients of one gateway: ten flushes a second, one write per client.

A flush works in slices, so that requests between them see no delay. Encoding happens once per
message; what is done per client is joining bytes.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from schemas.feed import Closing, Gap, Heartbeat, LadderDepth, TradeMessage
from services.feeds.client import FeedClient, Reason, Subject
from services.feeds.market import MarketChanges
from services.feeds.messages import delta_of, frame_of, ladder_of, snapshot_of, touches_ladder
from services.reader.views import Views
from services.runtime.clock import now_ms
from services.runtime.metrics import STREAM_FLUSH_SECONDS, STREAM_MESSAGES, STREAMS_CUT

log = logging.getLogger(__name__)

FLUSH_S: Final = 0.1
HEARTBEAT_S: Final = 5
# Longest work of a flush before the loop turns.
SLICE_S: Final = 0.002
# Of all clients; beyond it those that wait for most are cut.
WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
# Levels of the largest book that is sent as a whole, as in the public topic.
BOOK_LEVELS_MAX: Final = 20_000
# Trades that a subscription may request again, of all its symbols.
REPLAYED_TRADES_MAX: Final = 10_000
SLOW_CONSUMER: Final = 4413
RESTART: Final = 1012

_DEPTHS: Final[tuple[LadderDepth, ...]] = (10, 50)


class FeedHub:
    """The clients, their subscriptions, and the flushes. Lives on the loop's thread."""

    def __init__(self, views: Callable[[], Views], ready: Callable[[], bool]) -> None:
        self._views = views
        # True once the views contain what the topics held at the start.
        self.ready = ready
        self.changes = MarketChanges(views)
        self._clients: dict[FeedClient, None] = {}
        self._subscribers: dict[Subject, dict[FeedClient, None]] = {}
        self._to_all_trades: dict[FeedClient, None] = {}
        # Clients with a whole message due.
        self._due: dict[FeedClient, None] = {}
        self._heartbeat_at_s = 0.0

    def __len__(self) -> int:
        return len(self._clients)

    def clients(self) -> list[FeedClient]:
        """All clients at this moment."""
        return list(self._clients)

    def add(self, client: FeedClient) -> None:
        """Add a client without subscriptions."""
        self._clients[client] = None

    def remove(self, client: FeedClient) -> None:
        """Forget a client whose connection ended."""
        self._clients.pop(client, None)
        self._due.pop(client, None)
        self._to_all_trades.pop(client, None)
        for subject in list(client.subjects):
            self.unsubscribe(client, subject)

    def book_too_deep(self, symbol: str) -> bool:
        """True for a book with too many levels to be sent as a whole."""
        book = self._views().book_view(symbol)
        return book.depth("bid") + book.depth("ask") > BOOK_LEVELS_MAX

    def subscribe(self, client: FeedClient, subject: Subject) -> None:
        """Add a subscription; a whole book or ladder follows with the next flush."""
        if subject in client.subjects:
            return
        client.subjects[subject] = None
        self._subscribers.setdefault(subject, {})[client] = None
        if subject.channel != "trades":
            watched = self.changes.watched
            watched[subject.symbol] = watched.get(subject.symbol, 0) + 1
            self.request(client, subject, "subscribed")

    def unsubscribe(self, client: FeedClient, subject: Subject) -> None:
        """End a subscription; an unknown one is no error."""
        if subject not in client.subjects:
            return
        del client.subjects[subject]
        client.due.pop(subject, None)
        subscribers = self._subscribers[subject]
        del subscribers[client]
        if not subscribers:
            del self._subscribers[subject]
        if subject.channel != "trades":
            watched = self.changes.watched
            watched[subject.symbol] -= 1
            if not watched[subject.symbol]:
                del watched[subject.symbol]
                self.changes.forget_book(subject.symbol)

    def set_all_trades(self, client: FeedClient, *, wanted: bool) -> None:
        """Subscribe to the trades of all symbols, or end that."""
        client.all_trades = wanted
        if wanted:
            self._to_all_trades[client] = None
        else:
            self._to_all_trades.pop(client, None)

    def request(self, client: FeedClient, subject: Subject, reason: Reason) -> None:
        """A whole message of this subject is due to the client."""
        client.due[subject] = reason
        self._due[client] = None

    def replay(
        self, client: FeedClient, symbol: str, after: int | None, last: int, room: int
    ) -> int:
        """Send known trades of a symbol: those behind `after`, or the newest `last`; their number.

        At most `room`. A gap precedes trades that this process does not have.
        """
        trades = self.changes.flushed_trades(symbol)
        if after is None:
            wanted = trades[-min(last, room) :] if last and room else []
        else:
            wanted = [trade for trade in trades if trade.sequence > after][-room:] if room else []
            newest = self.newest_trade(symbol)
            first = wanted[0].sequence if wanted else newest + 1
            if after + 1 < first:
                client.send(frame_of(Gap("trades", symbol, after + 1, first - 1, "too_old")))
        for trade in wanted:
            client.send(frame_of(trade))
        return len(wanted)

    def newest_trade(self, symbol: str) -> int:
        """Sequence of the newest trade that was sent; 0 before any."""
        return self._views().trade_sequence(symbol) - self.changes.pending_trades(symbol)

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
        slice_end_s = time.monotonic() + SLICE_S
        written: dict[FeedClient, None] = {}
        for symbol in self.changes.changed():
            self._send_changes(symbol, written)
            slice_end_s = await self._turn(slice_end_s)
        for client in list(self._due):
            while client.due and not client.behind and client in self._clients:
                self._send_due(client)
                written[client] = None
                slice_end_s = await self._turn(slice_end_s)
            if not client.due:
                self._due.pop(client, None)
        now_s = time.monotonic()
        if now_s >= self._heartbeat_at_s:
            self._heartbeat_at_s = now_s + HEARTBEAT_S
            written |= self._send_heartbeats()
        for client in written:
            client.write_out()
            slice_end_s = await self._turn(slice_end_s)
        self._cut_slow(now_s)

    @staticmethod
    async def _turn(slice_end_s: float) -> float:
        """Let others run if the slice is over; the end of the present slice."""
        now_s = time.monotonic()
        if now_s < slice_end_s:
            return slice_end_s
        STREAM_FLUSH_SECONDS.observe(SLICE_S + now_s - slice_end_s)
        await asyncio.sleep(0)
        return time.monotonic() + SLICE_S

    def _send_changes(self, symbol: str, written: dict[FeedClient, None]) -> None:
        changes = self.changes.take(symbol)
        self._send_trades(symbol, changes.trades, written)
        if changes.book is None:
            return
        book, clock = self._views().book_view(symbol), self._views().clock(symbol, now_ms())
        whole_book = changes.book.levels is None
        for subject in (Subject("book", symbol), *(Subject("ladder", symbol, d) for d in _DEPTHS)):
            subscribers = self._subscribers.get(subject)
            if not subscribers:
                continue
            if whole_book:
                for client in subscribers:
                    self.request(client, subject, "conflated")
                continue
            if subject.depth == 0:
                frame = delta_of(symbol, book, clock, changes.book)
            elif touches_ladder(book, changes.book, subject.depth):
                frame = ladder_of(symbol, book, clock, subject.depth)
            else:
                continue
            STREAM_MESSAGES.labels(subject.channel).inc(len(subscribers))
            for client in subscribers:
                client.conflate(subject, frame)
                written[client] = None
                if client.due:
                    self._due[client] = None

    def _send_trades(
        self, symbol: str, trades: list[TradeMessage], written: dict[FeedClient, None]
    ) -> None:
        subscribers = self._subscribers.get(Subject("trades", symbol), {}) | self._to_all_trades
        if not subscribers or not trades:
            return
        frames = b"".join(map(frame_of, trades))
        STREAM_MESSAGES.labels("trades").inc(len(trades) * len(subscribers))
        for client in subscribers:
            client.send(frames)
            written[client] = None

    def _send_due(self, client: FeedClient) -> None:
        subject, reason = next(iter(client.due.items()))
        del client.due[subject]
        book, clock = (
            self._views().book_view(subject.symbol),
            self._views().clock(subject.symbol, now_ms()),
        )
        if subject.depth:
            frame = ladder_of(subject.symbol, book, clock, subject.depth)
        else:
            frame = snapshot_of(subject.symbol, book, clock, reason)
        STREAM_MESSAGES.labels(subject.channel).inc()
        client.send(frame)

    def _send_heartbeats(self) -> dict[FeedClient, None]:
        if not self._clients:
            return {}
        next_commands = self._views().next_commands()
        position = ".".join(str(next_commands[number]) for number in sorted(next_commands))
        frame = frame_of(Heartbeat(now_ms(), position, self.ready()))
        for client in self._clients:
            client.send(frame)
        return dict(self._clients)

    def _cut_slow(self, now_s: float) -> None:
        for client in [each for each in self._clients if each.too_slow(now_s)]:
            self.cut(client, SLOW_CONSUMER, "slow_consumer")
        behind = [client for client in self._clients if client.behind]
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

    def close(self) -> None:
        """End every connection, with a reason: the process stops, or lost track of its changes."""
        frame = frame_of(Closing("restart"))
        for client in self.clients():
            client.send(frame)
            client.write_out()
            self.cut(client, RESTART, "restart")
