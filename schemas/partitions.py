"""Maps symbols to partitions by murmur2, and plans the listings that override it.

murmur2 is Kafka's default for keyed records, so a Java producer chooses the same partition.
"""

from collections.abc import Mapping, Sequence

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, with Kafka's seed: unsigned."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length - length % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole < length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


def default_partition(symbol: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner chooses for this key."""
    return (murmur2(symbol.encode()) & 0x7FFFFFFF) % partitions


def spread(
    shares_ppm: Mapping[str, int], partitions: int, load_ppm: Sequence[int] = ()
) -> dict[str, int]:
    """Greedy balance: largest expected share first, onto the least loaded partition.

    `load_ppm`: the share that each partition already has; empty: none. Ties go to the name that
    sorts first and the lowest partition, so the same input always gives the same map.
    """
    load = list(load_ppm) or [0] * partitions
    placed: dict[str, int] = {}
    for symbol, share in sorted(shares_ppm.items(), key=lambda item: (-item[1], item[0])):
        target = load.index(min(load))
        placed[symbol] = target
        load[target] += share
    return placed
