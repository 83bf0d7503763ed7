"""Encoded messages: each is encoded once, and written to every client that needs it. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct
from websockets.frames import Frame, Opcode

from schemas.book import Level
from schemas.feed import BookDelta, BookSnapshot, Ladder, TickerMessage, TickersMessage
from schemas.feed_requests import LadderDepth
from schemas.instruments import Phase
from services.feeds.client import Reason
from services.feeds.watched_books import BookChanges
from services.reader.book_checksum import book_checksum, checksum
from services.reader.books import BookView

# Of one message, about 100 KiB.
TICKERS_MAX: Final = 400

_encode = msgspec.json.Encoder().encode


def frame_of(message: Struct) -> bytes:
    """A message as a WebSocket text frame of a server."""
    return Frame(Opcode.TEXT, _encode(message)).serialize(mask=False)


def snapshot_of(symbol: str, book: BookView, time: int, phase: Phase, reason: Reason) -> bytes:
    """The whole book."""
    bids, asks = book.levels("bid"), book.levels("ask")
    digits = checksum(bids, asks)
    return frame_of(BookSnapshot(symbol, book.sequence, time, bids, asks, digits, reason, phase))


def delta_of(symbol: str, book: BookView, time: int, phase: Phase, changes: BookChanges) -> bytes:
    """The changed levels with their present totals; `changes.levels` must be known."""
    touched = changes.levels or {}
    bids = sorted((price for side, price in touched if side == "bid"), reverse=True)
    asks = sorted(price for side, price in touched if side == "ask")
    message = BookDelta(
        symbol,
        changes.previous,
        book.sequence,
        time,
        book_checksum(book),
        tuple(book.level("bid", price) for price in bids),
        tuple(book.level("ask", price) for price in asks),
        phase if changes.phase else None,
    )
    return frame_of(message)


def ladder_of(symbol: str, book: BookView, time: int, depth: LadderDepth) -> bytes:
    """The best levels as a whole."""
    bids, asks = book.levels("bid", depth), book.levels("ask", depth)
    return frame_of(Ladder(symbol, depth, book.sequence, time, bids, asks))


def tickers_of(tickers: Sequence[TickerMessage]) -> bytes:
    """Tickers for subscribers of all symbols, in as many messages as needed; one if there is
    none."""
    starts = range(0, max(1, len(tickers)), TICKERS_MAX)
    return b"".join(
        frame_of(TickersMessage(list(tickers[start : start + TICKERS_MAX]))) for start in starts
    )


def touches_ladder(book: BookView, changes: BookChanges, depth: LadderDepth) -> bool:
    """True if a changed level is, or was, among the best `depth` ones."""
    if changes.levels is None:
        return True
    ends: dict[str, tuple[Level, ...]] = {
        "bid": book.levels("bid", depth)[-1:],
        "ask": book.levels("ask", depth)[-1:],
    }
    for side, price in changes.levels:
        if not ends[side] or book.depth(side) < depth:
            return True
        last = ends[side][0].price
        if (price >= last) if side == "bid" else (price <= last):
            return True
    return False
