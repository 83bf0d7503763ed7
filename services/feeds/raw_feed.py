"""Sends the changes of each command at once, to the clients that asked for this pace.

Outcomes then come one at a time, so that the views show the book behind each of them.
"""

from collections.abc import Iterable
from typing import Final

from services.api.messages import ProblemError
from services.feeds.client import FeedClient, Subject
from services.feeds.hub import FeedHub
from services.feeds.messages import delta_of, frame_of
from services.runtime.kafka.execution_filter import Batch
from services.runtime.metrics import STREAM_MESSAGES

# Raw subscriptions of a connection, and connections of a gateway that have any.
RAW_SUBJECTS_MAX: Final = 50
RAW_CLIENTS_MAX: Final = 100


def require_room(
    hub: FeedHub, client: FeedClient, subjects: Iterable[Subject], *, has_key: bool
) -> None:
    """Check that the client may have the raw ones of these subjects too. Raises ProblemError."""
    held = {each for each in client.subjects if each.raw}
    wanted = held | {each for each in subjects if each.raw}
    if wanted == held:
        return
    if not has_key:
        raise ProblemError("unauthenticated", "log in first: the raw pace needs a broker's key")
    if len(wanted) > RAW_SUBJECTS_MAX:
        detail = f"at most {RAW_SUBJECTS_MAX} raw subscriptions on this connection"
        raise ProblemError("invalid", detail)
    others = sum(any(each.raw for each in other.subjects) for other in hub.clients())
    if not held and others >= RAW_CLIENTS_MAX:
        detail = f"at most {RAW_CLIENTS_MAX} connections with raw subscriptions"
        raise ProblemError("rate_limited", detail)


class RawFeed:
    """The raw subscriptions of a hub."""

    def __init__(self, hub: FeedHub) -> None:
        self._hub = hub
        self._written: dict[FeedClient, None] = {}

    def is_watched(self) -> bool:
        """True while there is a raw subscription."""
        changes = self._hub.changes
        return bool(changes.raw or changes.raw_trades_of)

    def on_batch(self, batch: Batch) -> None:
        """Collect the changes of a batch that the views have applied."""
        changes = self._hub.changes
        changes.apply(batch)
        for trade in changes.raw_trades:
            clients = self._hub.subscribers(Subject("trades", trade.symbol, raw=True))
            STREAM_MESSAGES.labels("trades").inc(len(clients))
            frame = frame_of(trade)
            for client in clients:
                client.send(frame)
                self._written[client] = None
        changes.raw_trades.clear()
        for symbol in changes.raw.changed():
            self._send_book(Subject("book", symbol, raw=True))

    def _send_book(self, subject: Subject) -> None:
        hub, symbol = self._hub, subject.symbol
        changed = hub.changes.raw.take(symbol)
        if changed is None:
            return
        if changed.levels is None:
            for client in hub.subscribers(subject):
                hub.request(client, subject, "conflated")
            return
        views = hub.views()
        time = views.clock(symbol, 0)
        phase = views.instruments.phase(symbol)
        frame = delta_of(symbol, views.book_view(symbol), time, phase, changed)
        hub.conflate(subject, frame, self._written)

    def write_out(self) -> None:
        """Write what was collected, at the end of a list of records."""
        for client in self._written:
            client.write_out()
        self._written.clear()
