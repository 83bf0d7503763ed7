"""Compares a public topic with what it must hold: none missing, none twice, none altered.

Pure. A record's identity is (symbol, sequence); sequences are dense per symbol from 1.
"""

from typing import Protocol, TypeVar

from schemas.book import BookUpdate, Level
from services.audit.report import Invariant


class Sequenced(Protocol):
    """A trade or a book update."""

    @property
    def symbol(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def command_offset(self) -> int: ...


T = TypeVar("T", bound=Sequenced)


class PublicTopic:
    """One partition of a public topic. Holds only what is expected and was not found yet.

    `partial`: the beginning is gone by retention, so everything before the first record found is
    passed over.
    """

    def __init__(self, name: str, invariant: Invariant, *, partial: bool) -> None:
        self._name = name
        self._invariant = invariant
        self._partial = partial
        self._expected: dict[tuple[str, int], Sequenced] = {}
        self._last: dict[str, int] = {}

    def expect(self, item: Sequenced) -> None:
        """This must be in the topic."""
        self._expected[item.symbol, item.sequence] = item
        self._last[item.symbol] = item.sequence

    def found(self, item: Sequenced, offset: int) -> None:
        """This is in the topic, at `offset`. Everything up to its command was expected before."""
        if self._partial:
            self._pass_over(item)
        self._invariant.checked += 1
        identity = (item.symbol, item.sequence)
        where = f"{self._name}@{offset}: {item.symbol} #{item.sequence}"
        wanted = self._expected.pop(identity, None)
        if wanted is None:
            seen = 1 <= item.sequence <= self._last.get(item.symbol, 0)
            self._invariant.fail(f"{where} is there twice" if seen else f"{where} never happened")
        elif wanted != item:
            self._invariant.fail(f"{where} is {item}, expected {wanted}")

    def unreadable(self, offset: int, reason: str) -> None:
        """A record that is no message of this topic."""
        self._invariant.checked += 1
        self._invariant.fail(f"{self._name}@{offset}: {reason}")

    def finish(self) -> None:
        """At the end of the topic."""
        for symbol, sequence in self._expected:
            self._invariant.fail(f"{self._name}: {symbol} #{sequence} is missing")

    def _pass_over(self, first: Sequenced) -> None:
        self._partial = False
        self._expected = {
            identity: item
            for identity, item in self._expected.items()
            if item.command_offset >= first.command_offset
        }


class FoldedBooks:
    """The books as an analyst rebuilds them from the book topic alone."""

    def __init__(self) -> None:
        self._sides: dict[tuple[str, str], dict[int, Level]] = {}

    def apply(self, update: BookUpdate) -> None:
        """Fold one update."""
        for side, levels in (("bid", update.bids), ("ask", update.asks)):
            book = self._sides.setdefault((update.symbol, side), {})
            if update.whole:
                book.clear()
            for level in levels:
                if level.total_quantity:
                    book[level.price] = level
                else:
                    book.pop(level.price, None)

    def levels(self, symbol: str, side: str) -> list[Level]:
        """By price, lowest first."""
        return sorted(self._sides.get((symbol, side), {}).values(), key=lambda it: it.price)

    def symbols(self) -> set[str]:
        """Every symbol that was ever told of."""
        return {symbol for symbol, _ in self._sides}
