"""The checksum of a book, by values that any client can compute again."""

import pytest

from schemas.book import Level
from services.feeds.book_levels import checksum


@pytest.mark.parametrize(
    ("bids", "asks", "expected"),
    [
        ([(3820, 1500, 4), (3815, 700, 2)], [(3825, 300, 1), (3830, 4200, 9)], 1999486424),
        ([], [], 2343686810),
        ([(3820, 1500, 4)], [], 473793497),
    ],
)
def test_checksum_of_known_books(
    bids: list[tuple[int, int, int]], asks: list[tuple[int, int, int]], expected: int
) -> None:
    found = checksum([Level(*each) for each in bids], [Level(*each) for each in asks])
    assert found == expected


def test_checksum_covers_ten_levels() -> None:
    levels = [Level(price, 1, 1) for price in range(20)]
    assert checksum(levels, []) == checksum(levels[:10], [])
    assert checksum(levels[:10], []) != checksum(levels[:9], [])
