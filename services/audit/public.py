"""Compares a public topic with the records it must hold: none missing, repeated or altered.

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
    """One partition of a public topic. Holds only records that are expected and not yet found.

    `partial`: retention removed the beginning, so records before the first one found are skipped.
    """

    def __init__(self, name: str, invariant: Invariant, *, partial: bool) -> None:
        self._name = name
        self._invariant = invariant
        self._partial = partial
        self._expected: dict[tuple[str, int], Sequenced] = {}
        self._last: dict[str, int] = {}

    def expect(self, item: Sequenced) -> None:
        """Expect a record in the topic."""
        self._expected[item.symbol, item.sequence] = item
        self._last[item.symbol] = item.sequence

    def found(self, item: Sequenced, offset: int) -> None:
        """Compare a record of the topic at `offset`. All records up to its command are expected."""
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
        """Report a record that is no message of this topic."""
        self._invariant.checked += 1
        self._invariant.fail(f"{self._name}@{offset}: {reason}")

    def finish(self) -> None:
        """Report missing records at the end of the topic."""
        for symbol, sequence in self._expected:
            self._invariant.fail(f"{self._name}: {symbol} #{sequence} is missing")

    def _pass_over(self, first: Sequenced) -> None:
        self._partial = False
        self._expected = {
            identity: item
            for identity, item in self._expected.items()
            if item.command_offset >= first.command_offset
        }


class RebuiltBooks:
    """The books as an analyst rebuilds them from the book topic alone."""

    def __init__(self) -> None:
        self._sides: dict[tuple[str, str], dict[int, Level]] = {}

    def apply(self, update: BookUpdate) -> None:
        """Apply one update."""
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
        """The levels of a side by price, lowest first."""
        return sorted(self._sides.get((symbol, side), {}).values(), key=lambda it: it.price)

    def symbols(self) -> set[str]:
        """Every symbol in the topic."""
        return {symbol for symbol, _ in self._sides}
