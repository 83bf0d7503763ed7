"""Token buckets: what is refused, for how long, and how much memory the strangers get."""

import random

import pytest

from services.api.token_bucket import Buckets, Rate, network_of


def taken(buckets: Buckets, name: str, times_s: list[float]) -> int:
    return sum(buckets.take(name, at) == 0.0 for at in times_s)


def test_full_bucket_gives_its_burst_and_then_tells_the_wait() -> None:
    buckets = Buckets(Rate(per_second=10, burst=3), 100)
    assert [buckets.take("a", 5.0) for _ in range(4)] == [
        0.0,
        0.0,
        0.0,
        pytest.approx(0.1, rel=0.02),
    ]
    assert buckets.take("a", 5.05) == pytest.approx(0.05, rel=0.05)
    assert buckets.take("a", 5.1001) == 0.0
    assert buckets.take("a", 5.1001) > 0.0


def test_refused_take_costs_nothing() -> None:
    buckets = Buckets(Rate(per_second=1, burst=1), 100)
    assert taken(buckets, "a", [0.0] * 1_000) == 1
    assert buckets.take("a", 1.0) == 0.0


def test_names_do_not_share_a_bucket() -> None:
    buckets = Buckets(Rate(per_second=1, burst=2), 100)
    assert taken(buckets, "a", [0.0] * 5) == taken(buckets, "b", [0.0] * 5) == 2


def test_bucket_left_alone_is_full_and_not_more() -> None:
    buckets = Buckets(Rate(per_second=10, burst=3), 100)
    taken(buckets, "a", [0.0] * 3)
    assert taken(buckets, "a", [1_000.0] * 9) == 3


def test_rate_of_nothing_a_second_never_refuses_nor_remembers() -> None:
    buckets = Buckets(Rate(per_second=0, burst=0), 100)
    assert taken(buckets, "a", [0.0] * 1_000) == 1_000
    assert len(buckets) == 0


@pytest.mark.parametrize("seed", range(20))
def test_any_window_has_at_most_burst_and_rate(seed: int) -> None:
    chance = random.Random(seed)
    rate = Rate(per_second=chance.choice([0.5, 7, 1_000]), burst=chance.choice([1, 5, 100]))
    buckets = Buckets(rate, 100)
    now_s, given = 0.0, []
    for _ in range(3_000):
        now_s += chance.expovariate(rate.per_second * chance.choice([0.1, 1, 10]))
        wait_s = buckets.take("a", now_s)
        if wait_s == 0.0:
            given.append(now_s)
        else:
            assert wait_s <= 1 / rate.per_second + 1e-9
    for first in range(0, len(given), 37):
        for last in range(first, len(given), 41):
            span_s = given[last] - given[first]
            assert last - first + 1 <= rate.burst + span_s * rate.per_second + 0.02, seed


def test_strangers_without_end_fill_two_tables_and_no_more() -> None:
    buckets = Buckets(Rate(per_second=1, burst=1), 10)
    for number in range(1_000):
        assert buckets.take(str(number), 0.0) == 0.0
        assert len(buckets) <= 20
    assert buckets.take("999", 0.0) > 0.0


def test_name_that_is_still_used_outlives_the_strangers() -> None:
    buckets = Buckets(Rate(per_second=1, burst=1), 10)
    buckets.take("busy", 0.0)
    for number in range(1_000):
        buckets.take(str(number), 0.0)
        assert buckets.take("busy", 0.0) > 0.0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_address_is_counted_with_those_its_owner_has(address: str, network: str) -> None:
    assert network_of(address) == network
