"""Token buckets: refusals, waiting times, and bounded memory for unknown clients."""

import random

import pytest

from services.api.token_bucket import Buckets, Rate, network_of


def taken(buckets: Buckets, name: str, times_s: list[float]) -> int:
    return sum(buckets.take(name, at) == 0.0 for at in times_s)


def test_full_bucket_grants_its_burst_and_then_returns_the_wait() -> None:
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


def test_idle_bucket_refills_to_its_burst_and_no_further() -> None:
    buckets = Buckets(Rate(per_second=10, burst=3), 100)
    taken(buckets, "a", [0.0] * 3)
    assert taken(buckets, "a", [1_000.0] * 9) == 3


def test_rate_of_zero_never_refuses_and_stores_nothing() -> None:
    buckets = Buckets(Rate(per_second=0, burst=0), 100)
    assert taken(buckets, "a", [0.0] * 1_000) == 1_000
    assert len(buckets) == 0


@pytest.mark.parametrize("seed", range(20))
def test_any_time_window_grants_at_most_burst_plus_rate(seed: int) -> None:
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


def test_endless_new_names_fill_two_tables_at_most() -> None:
    buckets = Buckets(Rate(per_second=1, burst=1), 10)
    for number in range(1_000):
        assert buckets.take(str(number), 0.0) == 0.0
        assert len(buckets) <= 20
    assert buckets.take("999", 0.0) > 0.0


def test_name_in_use_is_kept_while_new_names_arrive() -> None:
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
def test_address_is_counted_with_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
