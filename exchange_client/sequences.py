"""Sequences of trades and of own events: duplicates dropped, holes found. Pure."""

from collections.abc import Iterable
from typing import Literal

from exchange_client.events import Trade

Verdict = Literal["new", "old", "hole"]


class TradeSequence:
    """The trades of one symbol. `last`: the newest one that was taken; None: any may come next."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        # The newest trade at some time before the first one came.
        self._start: int | None = None
        # The newest one known to exist.
        self._newest = last or 0
        # True while missing trades are fetched; later ones are fetched with them.
        self.is_fetching = False

    def begin(self, newest: int) -> None:
        """Note the newest trade of now; the first one of the feed may be older."""
        self._start = newest

    @property
    def position(self) -> int | None:
        """The trade behind which the feed is to be resumed; None if it is not known."""
        return self._start if self.last is None else self.last

    def receive(self, sequence: int) -> Verdict:
        """Take a trade of the feed if it is the next one."""
        if self.last is None and self._start is not None and sequence > self._start + 1:
            self.last = self._start
        if self.last is None or sequence == self.last + 1:
            self.last = sequence
            self._newest = max(self._newest, sequence)
            return "new"
        return "old" if sequence <= self.last else self.skip(self.last + 1, sequence)

    def skip(self, first: int, newest: int) -> Verdict:
        """Note that trades from `first` to `newest` exist and do not come by the feed."""
        if self.last is None:
            self.last = first - 1
        self._newest = max(self._newest, newest)
        return "hole" if self.has_hole else "old"

    @property
    def has_hole(self) -> bool:
        """True while trades are missing."""
        return self.last is not None and self.last < self._newest

    def fetched(self, trades: Iterable[Trade]) -> list[Trade]:
        """Take those of the fetched trades, oldest first, that are missing."""
        return [trade for trade in trades if self.receive(trade.sequence) == "new"]


class OwnSequences:
    """The newest own event of each partition. `lasts` None: none is known, a snapshot is needed."""

    def __init__(self, lasts: dict[str, int] | None = None) -> None:
        self.lasts = None if lasts is None else dict(lasts)
        # True from the request for missing events to its answer.
        self.is_resuming = False

    def receive(self, partition: int, sequence: int) -> Verdict:
        """Take an event if it is the next one of its partition."""
        if self.lasts is None or self.is_resuming:
            return "old"
        last = self.lasts.get(str(partition), 0)
        if sequence <= last:
            return "old"
        if sequence > last + 1:
            return "hole"
        self.lasts[str(partition)] = sequence
        return "new"
