"""Partition of a symbol: Kafka's own hash, and the greedy spread of known volumes."""

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

# Results of Kafka 4.4's Java client for symbols of every length and for multi-byte letters:
# `Utils.murmur2`, and `BuiltInPartitioner.partitionForKey` of 12 partitions.
JAVA = {
    "PETR4": (-1665922814, 6),
    "VALE3": (877537424, 8),
    "ITUB4": (1755745232, 8),
    "BBDC4": (-197776859, 9),
    "ABEV3": (978813543, 3),
    "B3SA3": (1966830804, 0),
    "BPAC11": (-100656559, 1),
    "BOVA11": (-937188812, 0),
    "PETR4F": (517305023, 11),
    "A": (1592744578, 10),
    "AB": (-556062482, 6),
    "ABC": (2103866058, 6),
    "ABCD": (1790169069, 9),
    "ABCDE": (-554406335, 9),
    "ABCDEF": (-867988839, 5),
    "ABCDEFG": (434209470, 6),
    "ABCDEFGH": (-1542716145, 11),
    "ABCDEFGHI": (2013549906, 6),
    "ABCDEFGHIJ": (1348258831, 7),
    "0": (971027396, 8),
    "0123456789": (-631703640, 8),
    "A.B": (754470968, 8),
    "A-B": (1412587359, 3),
    "A_B": (991498799, 11),
    "...": (-1960257541, 7),
    "---": (-727150718, 6),
    "Z.9_-": (943923611, 11),
    "ÁÇÃO": (-576966316, 4),
    "é€😀": (-232818566, 6),
    "U": (118149132, 0),
    "J": (-749472762, 2),
    "Z": (-219423179, 9),
    "DE": (-694007203, 1),
    "8G": (-146289701, 3),
    "X_": (-1765103948, 0),
    "D6N": (-1219474015, 1),
    "CF1": (1036625154, 6),
    "0EP": (-2040756108, 8),
    "F91D": (545878283, 11),
    ".HO_": (348573193, 1),
    "D._Z": (-621175443, 5),
    "DOC9I": (1657679193, 9),
    "S0J8H": (-1384767075, 5),
    ".T9LG": (-1251934277, 3),
    "_.MXG9": (326231722, 10),
    "E.DN58": (52428337, 1),
    "1U3_3X": (1233771211, 7),
    "TPLPF.T": (1942714441, 1),
    "75V2S-E": (-579923768, 0),
    "H60KVJ5": (-911416229, 3),
    "0CE9.UVW": (1332394264, 4),
    "-5_3EFR4": (1045171860, 0),
    "EDT.2SYW": (-710740798, 10),
    "B3WKH5DNS": (-1758017121, 11),
    "IPZZ5FK2Z": (-1797414636, 8),
    "9RI19R0WY": (-105342041, 3),
    "OJFLJOOA5_": (-1518442490, 6),
    "LQSAJ08X.U": (-424188043, 1),
    "I6D39ZZZZG": (479760145, 1),
}


@pytest.mark.parametrize(("text", "expected"), VECTORS.items(), ids=VECTORS.keys())
def test_murmur2_of_kafkas_vectors_is_kafkas_hash(text: str, expected: int) -> None:
    assert murmur2(text.encode()) == expected & 0xFFFFFFFF


@pytest.mark.parametrize("key", JAVA)
def test_partition_of_a_symbol_equals_that_of_the_java_client(key: str) -> None:
    assert (murmur2(key.encode()), default_partition(key, 12)) == (
        JAVA[key][0] & 0xFFFFFFFF,
        JAVA[key][1],
    )


def test_murmur2_of_any_bytes_fits_32_bits() -> None:
    assert all(0 <= murmur2(bytes([255]) * length) < 1 << 32 for length in range(9))


def test_default_partition_of_a_negative_hash_drops_the_sign_bit() -> None:
    assert default_partition("21", 7) == (-973932308 & 0x7FFFFFFF) % 7
    assert default_partition("21", 1) == 0


def test_default_partition_of_many_symbols_reaches_every_partition() -> None:
    symbols = [f"SYM{number}" for number in range(200)]
    assert {default_partition(symbol, 12) for symbol in symbols} == set(range(12))


def test_spread_puts_the_largest_first_on_the_least_loaded() -> None:
    shares = {"A": 500, "B": 300, "C": 150, "D": 100, "E": 90}
    assert spread(shares, 2) == {"A": 0, "B": 1, "C": 1, "D": 1, "E": 0}


def test_spread_breaks_ties_by_name_and_lowest_partition() -> None:
    assert spread({"C": 1, "A": 1, "D": 1, "B": 1}, 3) == {"A": 0, "B": 1, "C": 2, "D": 0}


def test_spread_on_loaded_partitions_starts_from_their_load() -> None:
    assert spread({"A": 50, "B": 30, "C": 20}, 2, (0, 60)) == {"A": 0, "B": 0, "C": 1}


def test_spread_of_no_symbols_is_empty() -> None:
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
