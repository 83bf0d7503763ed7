"""A feed: books, trades, own events and more, complete over every reconnect. Pure.

Messages go in by `received`, events come out of `inbox`, messages to send out of `outgoing`, and
requests for missing trades out of `fetches`.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from exchange_client.book_state import BookState
from exchange_client.channels import EVERY, Channels
from exchange_client.events import (
    Book,
    BookUnknown,
    Candle,
    Connected,
    Disconnected,
    Event,
    Ladder,
    Level,
    OwnEvent,
    OwnOrders,
    Ticker,
    Trade,
    TradesMissing,
)
from exchange_client.inbox import Inbox
from exchange_client.link_state import LinkState
from exchange_client.sequences import OwnSequences, TradeSequence

_ERROR = 400
# Trades of a symbol after a sequence; or, without a symbol, the newest sequence of each symbol.
Fetch = tuple[str | None, int]


class FeedState(LinkState):
    """The feed of some channels."""

    def __init__(self, channels: Channels, key: str | None, inbox: Inbox) -> None:
        super().__init__(key)
        self._channels = channels
        self.inbox = inbox
        self.fetches: deque[Fetch] = deque()
        self._books = {symbol: BookState(symbol) for symbol in channels.books}
        self._trades = {s: TradeSequence(last) for s, last in (channels.after or {}).items()}
        # From then on, a symbol without trades has sequence 0: no trade of it can be missed.
        self._has_begun = False
        self._own = OwnSequences(None if channels.own_after is None else dict(channels.own_after))
        self._snapshot: list[Mapping[str, Any]] = []
        # Of requests under way: their channel.
        self._requests: dict[int, str] = {}
        self._was_accepted = False

    def lost(self, reason: str) -> None:
        """Handle the end of the connection."""
        super().lost(reason)
        self._requests.clear()
        for book in self._books.values():
            book.forget()
        if self._was_accepted:
            self.inbox.add(Disconnected(reason))

    def fetched_trades(self, symbol: str, trades: Iterable[Trade]) -> None:
        """Take the answer to a fetch: trades of a symbol, oldest first."""
        line = self._line(symbol)
        for trade in line.fetched(trades):
            self.inbox.add(trade)
        line.is_fetching = line.has_hole
        if line.has_hole:
            self.fetches.append((symbol, line.last or 0))

    def fetched_newest(self, newest: Mapping[str, int]) -> None:
        """Take the answer to a fetch: the newest trade of each symbol that has one."""
        self._has_begun = True
        named = newest if self._channels.trades == EVERY else self._channels.trades
        for symbol in named:
            line = self._trades.setdefault(symbol, TradeSequence())
            line.begin(newest.get(symbol, 0))

    def _begin(self, log: str, now: float, *, is_new_log: bool) -> None:
        if is_new_log:
            self._trades = {symbol: TradeSequence(0) for symbol in self._trades}
            self._own = OwnSequences()
        self.inbox.add(Connected(log, is_new_log))
        for fields in self._channels.whole():
            self._subscribe(fields)
        for book in self._books.values():
            book.expect_snapshot(now)
        lasts = {s: at for s, line in self._trades.items() if (at := line.position) is not None}
        for fields in self._channels.resumed_trades(lasts):
            self._subscribe(fields)
        if self._channels.own_events:
            self._subscribe_own()
        if not self._has_begun and self._begins_now():
            self.fetches.append((None, 0))

    def _begins_now(self) -> bool:
        """True if trades of a symbol begin with whatever comes first."""
        named = self._channels.trades
        return named == EVERY or any(symbol not in self._trades for symbol in named)

    def _subscribe(self, fields: dict[str, Any]) -> None:
        self._requests[self._send("subscribe", fields)] = fields["channel"]

    def _subscribe_own(self) -> None:
        after = {} if self._own.lasts is None else {"after": self._own.lasts}
        self._own.is_resuming = True
        self._subscribe({"channel": "orders", **after})

    def _responded(self, message: dict[str, Any], now: float) -> None:
        channel = self._requests.pop(message["id"], None)
        if message["status"] < _ERROR:
            self._was_accepted = True
            if channel == "orders":
                self._own.is_resuming = False
        elif channel is not None and self._was_accepted:
            # It was right before: this gateway may not have read up to there yet.
            self.must_reconnect = True
        elif channel is not None:
            self._refuse(message)

    def _handle(self, message: dict[str, Any], now: float) -> None:
        match message["type"]:
            case "book_snapshot" | "book_update":
                self._update_book(message)
            case "trade":
                self._receive_trade(message)
            case "gap" if message["channel"] == "trades":
                self._skip_trades(message)
            case "orders_snapshot":
                self._receive_orders(message)
            case "order" | "order_refused" | "order_repeated":
                self._receive_own(message)
            case "ladder" | "ticker" | "tickers" | "candle":
                self._receive_whole(message)
        self._resync(now)

    def _update_book(self, message: dict[str, Any]) -> None:
        book = self._books.get(message["symbol"])
        if book is None:
            return
        was_known = book.is_known
        is_snapshot = message["type"] == "book_snapshot"
        changed = book.snapshot(message) if is_snapshot else book.update(message)
        if changed:
            self.inbox.set(("book", book.symbol), partial(_known, book))
        elif was_known and not book.is_known:
            self.inbox.add(BookUnknown(book.symbol))

    def _resync(self, now: float) -> None:
        unknown = [book.symbol for book in self._books.values() if book.wants_resync(now)]
        if unknown:
            self._send("resync", {"channel": "book", "symbols": unknown})

    def _line(self, symbol: str) -> TradeSequence:
        if symbol not in self._trades:
            self._trades[symbol] = TradeSequence(0 if self._has_begun else None)
        return self._trades[symbol]

    def _receive_trade(self, message: dict[str, Any]) -> None:
        line = self._line(message["symbol"])
        verdict = line.receive(message["sequence"])
        if verdict == "new":
            self.inbox.add(Trade(**{name: message[name] for name in Trade.__dataclass_fields__}))
        elif verdict == "hole":
            self._fetch(message["symbol"], line)

    def _skip_trades(self, message: dict[str, Any]) -> None:
        line = self._line(message["symbol"])
        if line.skip(message["first"], message["last"]) == "hole":
            self._fetch(message["symbol"], line)

    def _fetch(self, symbol: str, line: TradeSequence) -> None:
        if not line.is_fetching:
            line.is_fetching = True
            self.inbox.add(TradesMissing(symbol, line.last or 0))
            self.fetches.append((symbol, line.last or 0))

    def _receive_orders(self, message: dict[str, Any]) -> None:
        if message["part"] == 1:
            self._snapshot = []
        self._snapshot += message["orders"]
        if message["part"] == message["parts"]:
            self._own.lasts = dict(message["sequences"])
            self.inbox.add(OwnOrders(tuple(self._snapshot), dict(message["sequences"])))
            self._snapshot = []

    def _receive_own(self, message: dict[str, Any]) -> None:
        verdict = self._own.receive(message["partition"], message["sequence"])
        if verdict == "new":
            partition, sequence = message["partition"], message["sequence"]
            self.inbox.add(OwnEvent(message["type"], partition, sequence, message))
        elif verdict == "hole":
            self._send("unsubscribe", {"channel": "orders"})
            self._subscribe_own()

    def _receive_whole(self, message: dict[str, Any]) -> None:
        """Handle messages of which only the newest counts."""
        kind = message["type"]
        for each in message["tickers"] if kind == "tickers" else (message,):
            symbol = each["symbol"]
            if kind == "candle" and each["closed"]:
                self.inbox.add(_whole_event(each))
            else:
                key = ("ticker" if kind == "tickers" else kind, symbol)
                self.inbox.set(key, partial(_whole_event, each))


def _known(book: BookState) -> Book | None:
    return book.view() if book.is_known else None


def _whole_event(message: dict[str, Any]) -> Event:
    symbol = message["symbol"]
    match message["type"]:
        case "ladder":
            sides = (tuple(Level(*level) for level in message[s]) for s in ("bids", "asks"))
            return Ladder(symbol, message["depth"], message["sequence"], message["time"], *sides)
        case "candle":
            return Candle(symbol, message["interval"], message["closed"], message)
        case _:
            return Ticker(symbol, message)
