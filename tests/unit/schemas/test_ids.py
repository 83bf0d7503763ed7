"""Ids and what they encode: partition, time and position in the log."""

import random
import uuid

import pytest

from schemas import ids

TIME_MS = 1_782_997_200_123


@pytest.mark.parametrize("partition", [0, 1, 15, 16, 255, 256, ids.PARTITION_MAX])
@pytest.mark.parametrize("random_bits", [0, 1, (1 << 62) - 1, 1 << 62, (1 << 80) - 1])
def test_order_id_with_any_random_bits_keeps_partition_and_time(
    partition: int, random_bits: int
) -> None:
    text = ids.order_id(TIME_MS, partition, random_bits)
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert ids.partition_of(text) == partition
    assert ids.created_ms(text) == TIME_MS


def test_order_id_of_a_later_millisecond_sorts_later() -> None:
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    times = sorted(rng.sample(range(1 << 48), 500))
    made = [ids.order_id(time, rng.randrange(4096), rng.getrandbits(62)) for time in times]
    assert made == sorted(made), f"seed {seed}"


def test_order_id_with_other_random_bits_differs() -> None:
    made = {ids.order_id(TIME_MS, 5, bits) for bits in (0, 1, 2, 1 << 32, 1 << 61)}
    assert len(made) == 5


@pytest.mark.parametrize("number", [0, 1, 8_191, 8_192])
@pytest.mark.parametrize("partition", [0, 1, ids.PARTITION_MAX])
def test_order_id_of_a_session_has_partition_time_and_origin(partition: int, number: int) -> None:
    origin = ids.origin("gateway-1:8000", "0a1b2c3d")
    text = ids.session_order_id(TIME_MS, partition, number, origin)
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)
    assert ids.partition_of(text) == partition
    assert ids.created_ms(text) == TIME_MS
    assert ids.origin_of(text) == origin
    assert text.startswith(ids.time_text(TIME_MS))


def test_order_ids_of_a_session_with_other_numbers_differ() -> None:
    origin = ids.origin("a", "00000000")
    made = {ids.session_order_id(TIME_MS, 5, number, origin) for number in range(8_192)}
    assert len(made) == 8_192


def test_origin_names_gateway_and_boot() -> None:
    first = ids.origin("a", "0a1b2c3d")
    assert len(first) == 12
    assert first.startswith(ids.gateway_part("a"))
    assert ids.origin("a", "1a1b2c3d") != first
    assert ids.origin("a", "1a1b2c3d").startswith(ids.gateway_part("a"))
    assert not ids.origin("b", "0a1b2c3d").startswith(ids.gateway_part("a"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "order-a-1",
        ids.order_id(TIME_MS, 5, (1 << 62) - 1),
        ids.trade_id(TIME_MS, 5, (1 << 45) - 1, 9),
    ],
)
def test_id_of_no_session_has_no_origin(text: str) -> None:
    assert ids.origin_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "019f22ea-2d7a-4001-9234-567890abcde2",
        "019f22ea-2d7a-8001-8000-567890abcde2",
        "019f22ea-2d7a-7001-9234-567890abcde",
        "019f22ea-2d7a-7001-9234-567890abcde22",
        "019f22ea-2d7a-7xyz-9234-567890abcde2",
    ],
)
def test_partition_of_a_foreign_id_is_none(text: str) -> None:
    assert ids.partition_of(text) is None


def test_trade_id_of_distinct_positions_is_distinct() -> None:
    positions = [
        (time, partition, offset, index)
        for time in (0, 1, TIME_MS, (1 << 48) - 1)
        for partition in (0, 1, ids.PARTITION_MAX)
        for offset in (0, 1, 1 << 16, 10_000_000_000, (1 << 46) - 1)
        for index in (0, 1, 9_999, (1 << 16) - 1)
    ]
    made = [ids.trade_id(*position) for position in positions]
    assert len(set(made)) == len(positions)
    for text in made:
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


def test_trade_id_of_the_same_position_is_the_same() -> None:
    assert ids.trade_id(TIME_MS, 3, 77, 2) == ids.trade_id(TIME_MS, 3, 77, 2)


def test_trade_id_in_log_order_sorts_in_log_order() -> None:
    made = [ids.trade_id(TIME_MS, 3, offset, index) for offset in range(20) for index in range(20)]
    assert made == sorted(made)
