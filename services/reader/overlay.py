"""One page of a list: entries in memory laid over those that PostgreSQL answered.

Pure. PostgreSQL must have all that has left memory, and its answer must be older than the entries
in memory; then each entry is in one of both. Of an entry in both, memory has the newer state.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from msgspec import Struct, structs

T = TypeVar("T")


class Span(Struct, frozen=True):
    """Keys of a page: beyond `after` and before `before`, both exclusive; None: without a bound.

    `scan` is the most entries to read from PostgreSQL.
    """

    after: str | None
    before: str | None
    newest_first: bool
    scan: int

    def contains(self, key: str) -> bool:
        """True if the key is between the bounds."""
        return (self.after is None or key > self.after) and (
            self.before is None or key < self.before
        )

    def up_to(self, key: str) -> "Span":
        """The part of the span that comes before this key, in its order."""
        if self.newest_first:
            return structs.replace(self, after=key)
        return structs.replace(self, before=key)


class Page(Struct, Generic[T], frozen=True):
    """Entries in the order of the span; `next_key` continues the list, None: it has ended."""

    entries: list[T]
    next_key: str | None


def first_page(
    entries: Iterable[tuple[str, T]], wanted: Callable[[T], bool], limit: int
) -> Page[T]:
    """At most `limit` wanted entries of a list that memory has whole."""
    # One more than requested shows whether another page follows.
    found = list(islice(((key, entry) for key, entry in entries if wanted(entry)), limit + 1))
    more = len(found) > limit
    return Page([entry for _, entry in found[:limit]], found[limit - 1][0] if more else None)


def page(
    span: Span,
    stored: Sequence[tuple[str, T]],
    memory: Callable[[Span], Iterable[tuple[str, T]]],
    wanted: Callable[[T], bool],
    limit: int,
) -> Page[T]:
    """At most `limit` wanted entries; possibly fewer, even none, of a list that has not ended.

    `stored`: the first `span.scan` entries of the span, at least two, in its order, with their
    keys. `memory` returns the entries of a span.
    """
    more = len(stored) == span.scan
    if more:
        # The last one only shows that the list goes on: memory may have others behind it.
        span = span.up_to(stored[-1][0])
        stored = stored[:-1]
    merged = dict(stored)
    merged.update(memory(span))
    keys = sorted(merged, reverse=span.newest_first)
    found = [key for key in keys if wanted(merged[key])]
    entries = [merged[key] for key in found[:limit]]
    if len(found) > limit:
        return Page(entries, found[limit - 1])
    return Page(entries, keys[-1] if more else None)
