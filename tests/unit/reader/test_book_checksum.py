"""The checksum of a book, by values that any client can compute again."""

import pytest

from schemas.book import Level
from services.reader.book_checksum import checksum
from services.reader.views import Views


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


def test_book_by_http_has_the_checksum_of_ten_levels_whatever_the_depth() -> None:
    views, symbol = Views(), "PETR4"
    views.restore_symbol(symbol, 0, 1)
    views.restore_partition(0, 1, 5)
    for price in range(1, 13):
        views.book_view(symbol).add("bid", price, 10 * price)
    best = [Level(price, 10 * price, 1) for price in range(12, 2, -1)]
    assert {views.book(symbol, depth, 0).checksum for depth in (1, 10, 50)} == {checksum(best, [])}
    assert views.book("VALE3", 10, 0).checksum == checksum([], [])
