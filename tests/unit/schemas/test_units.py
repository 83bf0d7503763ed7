"""Times and averages in requests and responses: text, milliseconds, rounding."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from math import floor

import pytest

from schemas.units import TIMESTAMP_MS_MAX, buyer_and_seller, milliseconds, rfc3339, rounded_average


def test_buyer_of_a_trade_is_the_party_on_the_bid_side() -> None:
    assert buyer_and_seller("bid", "taker", "maker") == ("taker", "maker")
    assert buyer_and_seller("ask", "taker", "maker") == ("maker", "taker")


@pytest.mark.parametrize(
    ("timestamp_ms", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_795_438_800_250, "2026-11-23T13:00:00.250Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (TIMESTAMP_MS_MAX, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_rfc3339_of_milliseconds_is_utc_to_the_millisecond(
    timestamp_ms: int, expected: str
) -> None:
    assert rfc3339(timestamp_ms) == expected
    assert milliseconds(datetime.fromisoformat(expected)) == timestamp_ms


@pytest.mark.parametrize("year", [1970, 2026, 2500, 3000, 6000, 9999])
@pytest.mark.parametrize(
    ("microseconds", "expected"), [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2)]
)
def test_milliseconds_of_a_fraction_rounds_up(year: int, microseconds: int, expected: int) -> None:
    start = datetime(year, 6, 30, 23, 59, 59, tzinfo=UTC)
    whole = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert milliseconds(start + timedelta(microseconds=microseconds)) == whole + expected


def test_milliseconds_of_another_zone_is_the_same_instant() -> None:
    west = timezone(timedelta(hours=-3))
    assert milliseconds(datetime(1970, 1, 1, 0, 0, 1, tzinfo=west)) == 3 * 3_600_000 + 1_000


def test_milliseconds_before_the_epoch_is_negative() -> None:
    assert milliseconds(datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)) == -999


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [(10, 1, 10), (10, 4, 3), (9, 4, 2), (11, 4, 3), (1, 2, 1), (1, 3, 0), (2, 3, 1)],
)
def test_rounded_average_of_a_fraction_is_the_nearest_integer(
    total: int, count: int, expected: int
) -> None:
    assert rounded_average(total, count) == expected


def test_rounded_average_of_large_totals_is_exact() -> None:
    for total in range(10**21, 10**21 + 50):
        for count in (1, 3, 7, 10**9):
            nearest = floor(Fraction(total, count) + Fraction(1, 2))
            assert rounded_average(total, count) == nearest
