"""Levels of watched books that changed since they were last sent. Pure."""

from msgspec import Struct

from schemas.units import Side


class BookChanges(Struct):
    """Changes of one book behind `previous`. None in place of levels: it is unknown which, so only
    a whole book has them. `phase`: it has changed too."""

    previous: int
    levels: dict[tuple[Side, int], None] | None
    phase: bool = False


class WatchedBooks:
    """Changes of the books that have a subscriber; nothing is kept for others."""

    def __init__(self) -> None:
        # Number of subscribers by symbol.
        self._watched: dict[str, int] = {}
        self._changes: dict[str, BookChanges] = {}

    def __bool__(self) -> bool:
        """True if any book is watched."""
        return bool(self._watched)

    def __contains__(self, symbol: str) -> bool:
        """True if this book is watched."""
        return symbol in self._watched

    def watch(self, symbol: str) -> None:
        """Add a subscriber."""
        self._watched[symbol] = self._watched.get(symbol, 0) + 1

    def unwatch(self, symbol: str) -> None:
        """Remove a subscriber; changes are dropped with the last one."""
        self._watched[symbol] -= 1
        if not self._watched[symbol]:
            del self._watched[symbol]
            self._changes.pop(symbol, None)

    def touch(self, symbol: str, book_sequence: int, level: tuple[Side, int] | None) -> None:
        """Note a changed level of a book, if it is watched; None: it is unknown which."""
        if symbol not in self._watched:
            return
        changes = self._of(symbol, book_sequence)
        if level is None:
            changes.levels = None
        elif changes.levels is not None:
            changes.levels[level] = None

    def touch_phase(self, symbol: str, book_sequence: int) -> None:
        """Note a changed phase, if the book is watched."""
        if symbol in self._watched:
            self._of(symbol, book_sequence).phase = True

    def _of(self, symbol: str, book_sequence: int) -> BookChanges:
        changes = self._changes.get(symbol)
        if changes is None:
            # One command is one change of a book, however many levels it touched.
            changes = self._changes[symbol] = BookChanges(book_sequence - 1, {})
        return changes

    def changed(self) -> list[str]:
        """Symbols with changes, in the order of their first change."""
        return list(self._changes)

    def take(self, symbol: str) -> BookChanges | None:
        """Remove and return the changes of a symbol."""
        return self._changes.pop(symbol, None)
