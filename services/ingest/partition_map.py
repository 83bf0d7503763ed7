"""Which partition trades a symbol: the listings map where there is one, murmur2 where not. Pure."""

from functools import lru_cache

from schemas.codec import decode_listing
from schemas.partitions import default_partition

# Symbols are free text: what brokers make up must not grow the memory without end.
SYMBOLS_REMEMBERED_MAX = 16_384


class PartitionMap:
    """The listings folded, over murmur2. A listing never moves a symbol that has traded."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._listed: dict[str, int] = {}
        self._default = lru_cache(SYMBOLS_REMEMBERED_MAX)(default_partition)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Fold one record. Raises UnreadableError; a ValueError for a partition there is not."""
        if value is None:
            self._listed.pop((key or b"").decode(errors="replace"), None)
            return
        listing = decode_listing(value)
        if listing.partition >= self._partitions:
            raise ValueError(
                f"{listing.symbol} is listed on partition {listing.partition}, "
                f"there are {self._partitions}"
            )
        self._listed[listing.symbol] = listing.partition

    def partition(self, symbol: str) -> int:
        """Where the symbol's commands go."""
        listed = self._listed.get(symbol)
        return self._default(symbol, self._partitions) if listed is None else listed
