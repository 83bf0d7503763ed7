"""Load profiles: the named ones, and profile files with their faults."""

import pytest

from loadgen.workload.orderflow import plan
from loadgen.workload.profiles import B3, NAMED, ProfileError, profile_from, scaled


def test_scaled_profile_has_its_share_of_the_rate() -> None:
    assert scaled(B3, 100, None) == B3
    found = scaled(B3, 12.5, 7)
    assert (found.orders_per_s, found.duration_s) == (87.5, 7)


@pytest.mark.parametrize("name", NAMED)
def test_named_profile_makes_a_plan(name: str) -> None:
    assert plan(scaled(NAMED[name], 10, 5), 1).actions


def test_profile_file_contains_the_differences_from_b3() -> None:
    found = profile_from(b'{"symbols": 3, "bursts": null, "reads_per_53_orders": 0}')
    assert (found.symbols, found.bursts, found.reads_per_53_orders) == (3, None, 0)
    assert found.brokers == B3.brokers


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "truncated"),
        (b"[1]", "Expected `object`, got `array`"),
        (b'{"symbls": 3}', "unknown field `symbls`"),
        (b'{"symbols": "3"}', r"Expected `int`, got `str` - at `\$.symbols`"),
        (b'{"symbols": 0}', r">= 1 - at `\$.symbols`"),
        (b'{"bursts": {"every_ms": 5}}', r"missing required field `length_ms` - at `\$.bursts`"),
    ],
)
def test_invalid_profile_file_is_refused_with_the_location(raw: bytes, why: str) -> None:
    with pytest.raises(ProfileError, match=why):
        profile_from(raw)
