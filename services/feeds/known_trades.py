"""The newest trades in memory, for clients that come back."""

from collections.abc import Callable

from schemas.feed import Gap
from services.feeds.client import FeedClient, Subject
from services.feeds.market import MarketChanges
from services.feeds.messages import frame_of
from services.reader.views import Views
from services.runtime.metrics import STREAM_RESUMES


class KnownTrades:
    """Trades of all symbols. `views`: the present views of the process."""

    def __init__(self, views: Callable[[], Views], changes: MarketChanges) -> None:
        self._views = views
        self._changes = changes

    def replay(
        self, client: FeedClient, subject: Subject, after: int | None, last: int, room: int
    ) -> int:
        """Send known trades of a symbol: those behind `after`, or the newest `last`; their number.

        At most `room`. A gap precedes trades that this process does not have.
        """
        symbol = subject.symbol
        trades = self._changes.known_trades(symbol, pending=subject.raw)
        if after is None:
            wanted = trades[-min(last, room) :] if last and room else []
        else:
            wanted = [trade for trade in trades if trade.sequence > after][-room:] if room else []
            newest = self.newest(subject)
            first = wanted[0].sequence if wanted else newest + 1
            is_complete = after + 1 >= first
            STREAM_RESUMES.labels("trades", "complete" if is_complete else "incomplete").inc()
            if not is_complete:
                client.send(frame_of(Gap("trades", symbol, after + 1, first - 1, "too_old")))
        for trade in wanted:
            client.send(frame_of(trade))
        return len(wanted)

    def newest(self, subject: Subject) -> int:
        """Sequence of the newest trade that was sent to subscribers; 0 before any."""
        newest = self._views().trade_sequence(subject.symbol)
        return newest if subject.raw else newest - self._changes.pending_trades(subject.symbol)
