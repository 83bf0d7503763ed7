"""The subscribers of each subject. Changes are collected only of what has a subscriber."""

from collections import Counter
from collections.abc import Mapping

from services.feeds.client import FeedClient, Subject
from services.feeds.market import MarketChanges


class Subscriptions:
    """Clients by subject, each in the order in which they came."""

    def __init__(self, changes: MarketChanges) -> None:
        self._changes = changes
        self._clients: dict[Subject, dict[FeedClient, None]] = {}

    def of(self, subject: Subject) -> Mapping[FeedClient, None]:
        """The subscribers at this moment."""
        return self._clients.get(subject, {})

    def begun(self, subject: Subject) -> list[FeedClient]:
        """The subscribers that have had their first message."""
        clients = self._clients.get(subject, {})
        return [client for client in clients if client.due.get(subject) != "subscribed"]

    def add(self, client: FeedClient, subject: Subject) -> bool:
        """Add a subscription; False if there is one."""
        if subject in client.subjects:
            return False
        client.subjects[subject] = None
        clients = self._clients.get(subject)
        if clients is None:
            clients = self._clients[subject] = {}
            self._watch(subject)
        clients[client] = None
        return True

    def remove(self, client: FeedClient, subject: Subject) -> None:
        """End a subscription; an unknown one is no error."""
        if subject not in client.subjects:
            return
        del client.subjects[subject]
        client.due.pop(subject, None)
        clients = self._clients[subject]
        del clients[client]
        if not clients:
            del self._clients[subject]
            self._unwatch(subject)

    def _watch(self, subject: Subject) -> None:
        symbol, changes = subject.symbol, self._changes
        if subject.channel == "ticker":
            changes.tickers.watch(symbol)
        elif subject.interval is not None:
            changes.candles.watch(symbol, subject.interval)
        elif subject.channel in ("trades", "operations"):
            if subject.raw:
                changes.raw_trades_of[symbol] += 1
        else:
            (changes.raw if subject.raw else changes.books).watch(symbol)

    def _unwatch(self, subject: Subject) -> None:
        symbol, changes = subject.symbol, self._changes
        if subject.channel == "ticker":
            changes.tickers.unwatch(symbol)
        elif subject.interval is not None:
            changes.candles.unwatch(symbol, subject.interval)
        elif subject.channel in ("trades", "operations"):
            if subject.raw:
                # A counter keeps names whose count is 0.
                changes.raw_trades_of -= Counter([symbol])
        else:
            (changes.raw if subject.raw else changes.books).unwatch(symbol)
