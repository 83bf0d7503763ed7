"""Where a symbol lives: Kafka's own hash, and the greedy spread of known volumes."""

import random

import pytest

from schemas.partitions import default_partition, murmur2, spread

# The vectors of Kafka's own tests, as Java's signed int.
VECTORS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("text", "expected"), VECTORS.items(), ids=VECTORS.keys())
def test_murmur2_of_kafkas_vectors_is_kafkas_hash(text: str, expected: int) -> None:
    assert murmur2(text.encode()) == expected & 0xFFFFFFFF


def test_murmur2_of_any_bytes_fits_32_bits() -> None:
    assert all(0 <= murmur2(bytes([255]) * length) < 1 << 32 for length in range(9))


def test_default_partition_of_a_negative_hash_drops_the_sign_bit() -> None:
    assert default_partition("21", 7) == (-973932308 & 0x7FFFFFFF) % 7
    assert default_partition("21", 1) == 0


def test_default_partition_of_many_symbols_reaches_every_partition() -> None:
    symbols = [f"SYM{number}" for number in range(200)]
    assert {default_partition(symbol, 12) for symbol in symbols} == set(range(12))


def test_spread_largest_first_goes_to_the_least_loaded() -> None:
    shares = {"A": 500, "B": 300, "C": 150, "D": 100, "E": 90}
    assert spread(shares, 2) == {"A": 0, "B": 1, "C": 1, "D": 1, "E": 0}


def test_spread_with_ties_goes_by_name_and_lowest_partition() -> None:
    assert spread({"C": 1, "A": 1, "D": 1, "B": 1}, 3) == {"A": 0, "B": 1, "C": 2, "D": 0}


def test_spread_of_nothing_is_nothing() -> None:
    assert spread({}, 4) == {}


def test_spread_in_any_order_of_input_gives_the_same_map() -> None:
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    items = [(f"S{number}", rng.randint(0, 20_000)) for number in range(50)]
    expected = spread(dict(items), 4)
    for _ in range(10):
        rng.shuffle(items)
        assert spread(dict(items), 4) == expected, f"seed {seed}"
    load = [sum(share for name, share in items if expected[name] == p) for p in range(4)]
    assert max(load) - min(load) <= max(share for _, share in items), f"seed {seed}"
