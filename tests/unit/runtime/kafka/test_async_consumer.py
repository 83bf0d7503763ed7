"""Division of a fetch into parts, so that the event loop is not held by a large one."""

import pytest

from services.runtime.kafka.async_consumer import parts_of


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([3, 4, 3], [[3, 4, 3]], id="all fit"),
        pytest.param([6, 4, 1, 9, 2], [[6, 4], [1, 9], [2]], id="as many as fit"),
        pytest.param([2, 50, 2], [[2], [50], [2]], id="one too large goes alone"),
        pytest.param([0, 0, 10, 0], [[0, 0, 10, 0]], id="empty records take no room"),
    ],
)
def test_parts_hold_all_records_in_order_within_their_bound(
    sizes: list[int], parts: list[list[int]]
) -> None:
    records = [b"x" * size for size in sizes]
    assert [[len(record) for record in part] for part in parts_of(records, 10)] == parts
