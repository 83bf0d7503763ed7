"""The newest trades in memory, for clients that come back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import structs

from schemas.feed import Gap, TradeMessage
from schemas.feed_requests import Subscribe
from schemas.units import NewSymbol
from services.api.messages import ProblemError
from services.feeds.client import FeedClient, Subject
from services.feeds.market import MarketChanges
from services.feeds.messages import frame_of
from services.feeds.requested import converted
from services.feeds.stored_trades import Missing, Stored
from services.feeds.ticker_changes import EVERY
from services.reader.views import Views
from services.runtime.metrics import STREAM_RESUMES

# Trades that a subscription may request again: of all its symbols, and of one.
REPLAYED_TRADES_MAX: Final = 10_000
REPLAYED_PER_SYMBOL_MAX: Final = 1_000


class KnownTrades:
    """Trades of all symbols. `views`: the present views of the process."""

    def __init__(self, views: Callable[[], Views], changes: MarketChanges) -> None:
        self._views = views
        self._changes = changes

    def places(self, message: Subscribe, *, raw: bool) -> dict[str, int]:
        """`after` of a subscription: the last trade that the client has, by symbol. Raises
        ProblemError: invalid."""
        after = converted(message.after or {}, dict[NewSymbol, int])
        for symbol, last in after.items():
            if last > self.newest(Subject("trades", symbol, raw=raw)):
                raise ProblemError("invalid", f"`after` is beyond the newest trade of {symbol}")
        return after

    def missing(self, subjects: Sequence[Subject], after: Mapping[str, int]) -> dict[str, Missing]:
        """Trades to send again that are not in memory, by symbol."""
        room, found = REPLAYED_TRADES_MAX, dict[str, Missing]()
        for subject in _of_symbols(subjects, after):
            if subject.symbol not in after:
                continue
            newest, trades = self.newest(subject), self._known(subject)
            first = max(after[subject.symbol], newest - min(room, REPLAYED_PER_SYMBOL_MAX)) + 1
            room -= newest - first + 1
            if lacking := range(first, trades[0].sequence if trades else newest + 1):
                found[subject.symbol] = Missing(lacking, trades)
        return found

    def replay(
        self,
        client: FeedClient,
        subjects: Sequence[Subject],
        after: Mapping[str, int],
        last: int,
        stored: Stored,
    ) -> None:
        """Send trades of these symbols: those behind `after`, of memory and the stored ones, or the
        newest `last`. A gap precedes trades that there are not."""
        room = REPLAYED_TRADES_MAX
        for subject in _of_symbols(subjects, after):
            trades = self._known(subject)
            if subject.symbol in after:
                trades = self._behind(subject, after[subject.symbol], stored)
                trades = trades[-min(room, REPLAYED_PER_SYMBOL_MAX) :] if room else []
                self._send_gap(client, subject, after[subject.symbol], trades, stored)
            else:
                trades = trades[-min(last, room) :] if last and room else []
            for trade in trades:
                client.send(frame_of(trade))
            room -= len(trades)

    def _known(self, subject: Subject) -> list[TradeMessage]:
        return self._changes.known_trades(subject.symbol, pending=subject.raw)

    def _behind(self, subject: Subject, last: int, stored: Stored) -> list[TradeMessage]:
        # The newest trades behind `last`, without a gap.
        expected, found = self.newest(subject), list[TradeMessage]()
        for trades in (self._known(subject), stored.trades.get(subject.symbol, [])):
            for trade in reversed(trades):
                if trade.sequence == expected > last:
                    found.append(trade)
                    expected -= 1
        found.reverse()
        return found

    def _send_gap(
        self,
        client: FeedClient,
        subject: Subject,
        last: int,
        trades: Sequence[TradeMessage],
        stored: Stored,
    ) -> None:
        first = trades[0].sequence if trades else self.newest(subject) + 1
        is_complete = last + 1 >= first
        STREAM_RESUMES.labels("trades", "complete" if is_complete else "incomplete").inc()
        if not is_complete:
            gap = Gap("trades", subject.symbol, last + 1, first - 1, "too_old")
            if stored.is_away:
                gap = structs.replace(gap, reason="storage_away")
            client.send(frame_of(gap))

    def newest(self, subject: Subject) -> int:
        """Sequence of the newest trade that was sent to subscribers; 0 before any."""
        newest = self._views().trade_sequence(subject.symbol)
        return newest if subject.raw else newest - self._changes.pending_trades(subject.symbol)


def _of_symbols(subjects: Sequence[Subject], after: Mapping[str, int]) -> Sequence[Subject]:
    if list(subjects) == [Subject("trades", EVERY)]:
        return [Subject("trades", symbol) for symbol in after]
    return subjects
