"""The checksum of a book, by which clients check theirs. Pure."""

from collections.abc import Sequence
from zlib import crc32

from schemas.book import Level
from schemas.rest import LevelResource
from services.reader.books import BookView

AnyLevel = Level | LevelResource
# Levels of each side that the checksum covers.
CHECKSUM_LEVELS = 10


def checksum(bids: Sequence[AnyLevel], asks: Sequence[AnyLevel]) -> int:
    """CRC-32 (unsigned) of the ten best levels of both sides, given best first.

    Of the text `price:quantity:orders,...|price:quantity:orders,...`, bids first, in ASCII.
    """
    return crc32(f"{_text(bids)}|{_text(asks)}".encode())


def _text(levels: Sequence[AnyLevel]) -> str:
    return ",".join(
        f"{level.price}:{level.total_quantity}:{level.order_count}"
        for level in levels[:CHECKSUM_LEVELS]
    )


def book_checksum(book: BookView) -> int:
    """The checksum of a view."""
    return checksum(
        book.levels("bid", CHECKSUM_LEVELS),
        book.levels("ask", CHECKSUM_LEVELS),
    )
