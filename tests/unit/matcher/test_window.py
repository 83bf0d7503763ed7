"""The window of client order ids is bounded by count and by time."""

from schemas.snapshots import ClientIdRow
from services.matcher.window import ClientIdWindow


def row(number: int) -> ClientIdRow:
    return ClientIdRow(f"ann PETR4 c{number}", f"o{number} bid limit 100 5 None 1")


def window_of(*times: int, block_commands: int = 1) -> ClientIdWindow:
    window = ClientIdWindow(ids_max=3, window_ms=100, block_commands=block_commands)
    for offset, time in enumerate(times):
        window.remember(row(offset), "ann", offset, time)
    return window


def held(window: ClientIdWindow) -> list[ClientIdRow]:
    return [each for block in window.blocks() for each in block.rows]


def test_window_beyond_its_count_drops_the_oldest() -> None:
    window = window_of(0, 1, 2, 3, 4)
    assert len(window) == 3
    assert held(window) == [row(2), row(3), row(4)]
    assert window.find(row(1).client_id, clock=5) is None
    assert window.find(row(2).client_id, clock=5) == row(2)


def test_window_drops_whole_blocks_and_never_the_open_one() -> None:
    window = window_of(0, 1, 2, 3, block_commands=2)
    assert held(window) == [row(2), row(3)]
    full = window_of(0, 1, 2, 3, 4, block_commands=10)
    assert len(full) == 5


def test_window_after_its_time_is_empty() -> None:
    window = window_of(10, 11)
    assert window.find(row(0).client_id, clock=109) is not None
    assert window.find(row(0).client_id, clock=110) is None
    assert held(window) == [row(1)]
    assert window.find(row(2).client_id, clock=111) is None
    assert len(window) == 0


def test_window_keeps_a_block_for_the_time_of_its_newest_id() -> None:
    window = window_of(10, 60, block_commands=2)
    assert window.find(row(0).client_id, clock=159) == row(0)
    assert window.find(row(0).client_id, clock=160) is None
    window.remember(row(0), "ann", 2, 160)
    assert held(window) == [row(0)]


def test_restored_window_equals_the_original() -> None:
    for orders in range(6):
        window = window_of(*range(orders), block_commands=2)
        twin = ClientIdWindow(ids_max=3, window_ms=100, block_commands=2)
        twin.restore(window.blocks())
        for offset in range(orders, orders + 4):
            window.remember(row(offset), "ann", offset, offset)
            twin.remember(row(offset), "ann", offset, offset)
            assert twin.blocks() == window.blocks()
            assert len(twin) == len(window)


def test_returned_blocks_are_not_changed_by_later_ids() -> None:
    window = window_of(0, 1, block_commands=10)
    blocks = window.blocks()
    window.remember(row(2), "ann", 2, 2)
    assert [each for block in blocks for each in block.rows] == [row(0), row(1)]
