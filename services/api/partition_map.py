"""Maps a symbol to its partition: by its listing if there is one, else by murmur2. Pure."""

from collections.abc import Iterator
from functools import lru_cache

from sortedcontainers import SortedDict

from schemas.codec import decode_listing
from schemas.partitions import default_partition

# Symbols are free text, so the cache of unlisted ones is bounded.
SYMBOLS_REMEMBERED_MAX = 16_384


class PartitionMap:
    """Listings, with murmur2 for other symbols. A listing never moves a symbol that has traded."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._listed: SortedDict = SortedDict()
        self._default = lru_cache(SYMBOLS_REMEMBERED_MAX)(default_partition)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply one record. Raises UnreadableError, and ValueError for an unknown partition."""
        if value is None:
            self._listed.pop((key or b"").decode(errors="replace"), None)
            return
        listing = decode_listing(value)
        if listing.partition >= self.partitions:
            raise ValueError(
                f"{listing.symbol} is listed on partition {listing.partition}, "
                f"there are {self.partitions}"
            )
        self._listed[listing.symbol] = listing.partition

    def partition(self, symbol: str) -> int:
        """The partition of the symbol's commands."""
        listed: int | None = self._listed.get(symbol)
        return self._default(symbol, self.partitions) if listed is None else listed

    def is_listed(self, symbol: str) -> bool:
        """True if the symbol has a listing."""
        return symbol in self._listed

    def listed_after(self, symbol: str) -> Iterator[str]:
        """The listed symbols beyond this one, sorted."""
        return iter(self._listed.irange(minimum=symbol, inclusive=(False, True)))
