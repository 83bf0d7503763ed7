"""Order and trade ids. They contain the order's partition and the trade's log position.

Pure: time and randomness are arguments. The order id of a session with cancel on disconnect also
contains its origin: the gateway and its boot. So any process can tell which orders a gateway that
was killed has left, without a further field in commands, outcomes and tables.
"""

import hashlib

_VERSION_7 = 0x7000
_VERSION_8 = 0x8000
_VARIANT = 0x8000_0000_0000_0000
_RANDOM_MASK = (1 << 62) - 1
_INDEX_BITS = 16
_OFFSET_MASK = (1 << (62 - _INDEX_BITS)) - 1
# Command offsets do not reach this bit, so an order id of version 8 is never a trade id.
_SESSION_BIT = 1 << 61
_NUMBER_BITS = 13
_ORIGIN_BITS = 48
_GATEWAY_DIGITS = 7
_BOOT_DIGITS = 5

# The digit with the variant and that bit; as a set, because "" is in every text.
_SESSION_NIBBLES = frozenset("ab")

# A trade id ends with the trade's index within its command, in so many hexadecimal digits.
TRADE_INDEX_DIGITS = _INDEX_BITS // 4
PARTITION_MAX = 0xFFF
UUID_LENGTH = 36


def _uuid_text(high: int, low: int) -> str:
    # Through bytes, in two thirds of the time of a format string.
    text = (high << 64 | low).to_bytes(16).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def order_id(time_ms: int, partition: int, random_bits: int) -> str:
    """A UUIDv7 (RFC 9562) whose 12 `rand_a` bits hold the partition.

    `random_bits` supplies the 62 bits of `rand_b`. The partition lets a cancel find its matcher
    without a look-up.
    """
    high = (time_ms << 16) | _VERSION_7 | partition
    return _uuid_text(high, _VARIANT | (random_bits & _RANDOM_MASK))


def session_order_id(time_ms: int, partition: int, number: int, origin: str) -> str:
    """A UUIDv8 (RFC 9562) with time and partition as in other order ids, and an origin.

    The lowest 13 bits of `number` make ids of one millisecond, partition and origin differ.
    """
    high = (time_ms << 16) | _VERSION_8 | partition
    low = (number % (1 << _NUMBER_BITS) << _ORIGIN_BITS) | int(origin, 16)
    return _uuid_text(high, _VARIANT | _SESSION_BIT | low)


def origin(gateway: str, boot: str) -> str:
    """12 hexadecimal digits: `gateway_part` of a gateway's name, and the first 5 of its boot."""
    return gateway_part(gateway) + boot[:_BOOT_DIGITS]


def gateway_part(gateway: str) -> str:
    """The first 7 hexadecimal digits of every origin of a gateway, from a hash of its name."""
    return hashlib.sha256(gateway.encode()).hexdigest()[:_GATEWAY_DIGITS]


def origin_of(order_id: str) -> str | None:
    """The origin in an order id; None for an order that outlives its session, or has none."""
    return order_id[24:] if order_id[14:15] == "8" and order_id[19:20] in _SESSION_NIBBLES else None


def partition_of(order_id: str) -> int | None:
    """The partition in an order id; None if the text is not an order id of this exchange."""
    if len(order_id) != UUID_LENGTH:
        return None
    if order_id[14] != "7" and origin_of(order_id) is None:
        return None
    try:
        return int(order_id[15:18], 16)
    except ValueError:
        return None


def created_ms(order_id: str) -> int:
    """Creation time in milliseconds since the epoch. The id must be from this exchange."""
    return int(order_id[:8] + order_id[9:13], 16)


def time_text(time_ms: int) -> str:
    """The text that an order id of this time begins with; texts are ordered as the times are."""
    text = f"{time_ms:012x}"
    return f"{text[:8]}-{text[8:]}"


def trade_id(time_ms: int, partition: int, offset: int, index: int) -> str:
    """A UUIDv8 (RFC 9562) made from the trade's position, so every replay gives the same id.

    48 bits of time, 12 of partition, 46 of command offset, 16 of index within the command.
    """
    high = (time_ms << 16) | _VERSION_8 | partition
    low = _VARIANT | ((offset & _OFFSET_MASK) << _INDEX_BITS) | index
    return _uuid_text(high, low)


def place_of(trade_id: str) -> tuple[int, int]:
    """Command offset of a trade of this exchange, and its index within the command."""
    low = int(trade_id[19:23] + trade_id[24:], 16) & _RANDOM_MASK
    return low >> _INDEX_BITS, low & ((1 << _INDEX_BITS) - 1)
