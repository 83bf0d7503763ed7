"""Waits from positions: how long a follower lacks what the log has."""

from services.page.positions import PartitionPositions, Reached


def test_wait_begins_when_the_first_missing_record_was_seen() -> None:
    ends = Reached()
    for at_s, position in ((0.0, 5), (1.0, 5), (2.0, 8), (3.0, 9)):
        ends.note(position, at_s)
    assert ends.waiting_s(9, 10.0) == 0.0
    assert ends.waiting_s(8, 10.0) == 7.0
    assert ends.waiting_s(5, 10.0) == 8.0
    assert ends.waiting_s(0, 10.0) == 10.0


def test_lower_position_is_another_log_and_begins_anew() -> None:
    ends = Reached()
    ends.note(100, 0.0)
    ends.note(3, 5.0)
    assert ends.waiting_s(0, 6.0) == 1.0


def test_state_says_what_waits_for_the_matcher_and_for_the_sink() -> None:
    positions = PartitionPositions(1)
    positions.apply(10, 0.0)
    positions.apply(20, 2.0)
    positions.ask(25, 10, 3.0)
    state = positions.state(20, 8.0)
    assert (state.partition, state.end, state.applied, state.stored) == (1, 25, 20, 10)
    assert (state.waiting, state.waiting_s) == (5, 5.0)
    assert (state.unstored, state.unstored_s) == (10, 6.0)


def test_positions_that_are_not_known_are_null_and_late_answers_are_no_wait() -> None:
    positions = PartitionPositions(0)
    assert positions.state(3, 0.0).end is None
    # Both were read before more was applied, or by another process.
    positions.ask(2, 9, 0.0)
    state = positions.state(3, 1.0)
    assert (state.waiting, state.waiting_s, state.unstored, state.unstored_s) == (0, 0.0, 0, 0.0)
