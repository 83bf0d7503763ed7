"""The validity rule of executions: claims, epochs, duplicates, gaps."""

from collections.abc import Sequence

import pytest

from schemas.codec import encode
from schemas.executions import (
    CONDITIONS_LEVEL,
    RULES_LEVEL,
    TRIMMED_LEVEL,
    Claim,
    LevelClaim,
    Outcome,
    Outcomes,
    Ticked,
    claim_offset,
    epoch_of,
)
from services.runtime.errors import BrokenLogError
from services.runtime.kafka import execution_filter as filters
from services.runtime.kafka.execution_filter import (
    NO_EPOCH,
    Batch,
    ExecutionFilter,
    FilterPosition,
)
from services.runtime.kafka.unreadable import log_unreadable


def record(epoch: int, first: int, count: int = 1) -> bytes:
    outcomes = tuple(Outcome(first + n, Ticked()) for n in range(count))
    return encode(Outcomes(epoch, first, outcomes))


CLAIM = encode(Claim("m"))


def follow(records: Sequence[bytes | None], start: FilterPosition | None = None) -> list[int]:
    """Return the first command of each valid batch; the nth record is at offset n."""
    execution_filter = ExecutionFilter({0: start or FilterPosition()}, log_unreadable)
    batches = [execution_filter.accept(0, at, value) for at, value in enumerate(records)]
    return [batch.first_command for batch in batches if batch is not None]


def test_records_in_sequence_of_the_current_epoch_are_valid() -> None:
    assert follow([CLAIM, record(0, 0, 2), record(0, 2), record(0, 3, 5)]) == [0, 2, 3]


def test_records_before_any_claim_are_ignored() -> None:
    assert follow([record(0, 0), record(-2, 0)]) == []


def test_records_of_a_stale_epoch_are_ignored_and_move_nothing() -> None:
    records = [
        CLAIM,
        record(0, 0),
        CLAIM,
        record(0, 1, 9),
        record(2, 1),
        record(0, 50),
        record(2, 2),
    ]
    assert follow(records) == [0, 1, 2]


def test_records_of_an_unclaimed_epoch_are_ignored() -> None:
    assert follow([CLAIM, record(7, 0), record(0, 0)]) == [0]


def test_new_epoch_continues_where_the_last_one_ended() -> None:
    assert follow([CLAIM, record(0, 0, 3), CLAIM, record(2, 3)]) == [0, 3]


def test_duplicate_is_ignored_even_when_it_is_longer() -> None:
    assert follow([CLAIM, record(0, 0, 2), record(0, 0, 2), record(0, 1, 4), record(0, 2)]) == [
        0,
        2,
    ]


def test_reader_ahead_of_the_log_gets_only_the_part_of_a_record_that_it_has_not_seen() -> None:
    execution_filter = ExecutionFilter({0: FilterPosition(0, NO_EPOCH, 5)})
    execution_filter.accept(0, 0, CLAIM)
    assert execution_filter.accept(0, 1, record(0, 2, 2)) is None
    assert execution_filter.position(0) == FilterPosition(2, 0, 5)
    batch = execution_filter.accept(0, 2, record(0, 4, 3))
    assert batch == Batch(0, 5, (Outcome(5, Ticked()), Outcome(6, Ticked())))
    assert execution_filter.position(0) == FilterPosition(3, 0, 7)


def test_claim_with_a_nonce_begins_an_epoch_that_no_other_claim_at_its_offset_has() -> None:
    claim = LevelClaim("m", RULES_LEVEL, 9)
    epoch = epoch_of(claim, 0)
    assert claim_offset(epoch) == 0
    records = [encode(claim), record(0, 0), record(epoch_of(LevelClaim("m", 5, 8), 0), 0)]
    assert follow(records) == []
    assert follow([*records, record(epoch, 0)]) == [0]
    with pytest.raises(BrokenLogError, match="nonce"):
        follow([b'{"type":"claim_2","matcher":"m","level":5,"nonce":4194304}'])


@pytest.mark.parametrize("records", [[CLAIM, record(0, 1)], [CLAIM, record(0, 0), record(0, 2)]])
def test_gap_raises_broken_log_error(records: list[bytes | None]) -> None:
    with pytest.raises(BrokenLogError, match="expected"):
        follow(records)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b'{"type":"other"}'])
def test_unreadable_record_is_logged_and_skipped(
    value: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    values = [CLAIM, value, record(0, 0), value, record(0, 1)]
    assert follow(values) == [0, 1]
    assert [line.message for line in caplog.records] == ["unreadable execution, passed over"] * 2


def test_unreadable_claim_raises_broken_log_error() -> None:
    with pytest.raises(BrokenLogError, match="executions 0@1"):
        follow([CLAIM, b'{"type":"claim_2","matcher":1}'])


def test_unreadable_record_in_place_of_outcomes_leaves_a_gap() -> None:
    with pytest.raises(BrokenLogError, match="expected 0"):
        follow([CLAIM, None, record(0, 1)])


def test_filter_resumed_at_a_position_continues_exactly_there() -> None:
    records: list[bytes | None] = [CLAIM, record(0, 0, 2), record(0, 2), CLAIM, record(3, 3)]
    for cut in range(len(records) + 1):
        first = ExecutionFilter({0: FilterPosition()})
        seen = [first.accept(0, at, value) for at, value in enumerate(records[:cut])]
        # A restart reads the same records again; they must not be applied twice.
        resumed = ExecutionFilter({0: first.position(0)})
        seen += [resumed.accept(0, at, value) for at, value in enumerate(records)]
        assert [batch.first_command for batch in seen if batch] == [0, 2, 3]


def test_partitions_are_filtered_independently() -> None:
    execution_filter = ExecutionFilter({0: FilterPosition(), 5: FilterPosition()})
    execution_filter.accept(0, 0, CLAIM)
    execution_filter.accept(5, 9, CLAIM)
    batch = execution_filter.accept(5, 10, record(9, 0, 2))
    assert batch == Batch(5, 0, (Outcome(0, Ticked()), Outcome(1, Ticked())))
    assert execution_filter.position(5) == FilterPosition(11, 9, 2)
    assert execution_filter.position(0) == FilterPosition(1, 0, 0)


def test_old_claim_read_again_does_not_restore_its_epoch() -> None:
    execution_filter = ExecutionFilter({0: FilterPosition(4, 3, 7)})
    assert execution_filter.accept(0, 0, CLAIM) is None
    batch = execution_filter.accept(0, 4, record(3, 7))
    assert batch is not None
    assert batch.first_command == 7


def test_rules_level_is_that_of_the_last_claim() -> None:
    found = ExecutionFilter({0: FilterPosition(), 1: FilterPosition()})
    levels = [found.rules_level(0)]
    for record_at, claim in enumerate((Claim("m"), LevelClaim("m", 2), LevelClaim("m", 3))):
        found.accept(0, record_at, encode(claim))
        levels.append(found.rules_level(0))
    assert levels == [0, 1, 2, 3]
    assert found.rules_level(1) == 0


def test_rules_level_of_a_resumed_filter_comes_from_the_claim_before_its_position() -> None:
    found = ExecutionFilter({0: FilterPosition(9, 4, 7)})
    found.claim_before(0, encode(LevelClaim("m", 3)))
    assert found.rules_level(0) == 3
    assert found.position(0) == FilterPosition(9, 4, 7)
    with pytest.raises(BrokenLogError, match="level 99"):
        found.claim_before(0, encode(LevelClaim("m", 99)))
    with pytest.raises(BrokenLogError, match="executions 0@4"):
        found.claim_before(0, b'{"type":"claim_3"}')


def test_program_of_the_level_before_stops_at_the_claim_and_ours_reads_its_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert RULES_LEVEL >= CONDITIONS_LEVEL
    old = [encode(LevelClaim("m", CONDITIONS_LEVEL - 1)), record(0, 0)]
    assert follow(old) == [0]
    monkeypatch.setattr(filters, "RULES_LEVEL", CONDITIONS_LEVEL - 1)
    assert follow(old) == [0]
    with pytest.raises(BrokenLogError, match="start a newer version"):
        follow([encode(LevelClaim("m", CONDITIONS_LEVEL)), record(0, 0)])


def test_rules_level_of_a_trimmed_log_is_the_first_that_trims() -> None:
    resumed = ExecutionFilter({0: FilterPosition(9, 4, 7)})
    resumed.claim_before(0, None)
    assert resumed.rules_level(0) == TRIMMED_LEVEL
    followed = ExecutionFilter({0: FilterPosition(), 1: FilterPosition()}, beginnings={0: 5, 1: 0})
    assert [followed.rules_level(number) for number in (0, 1)] == [TRIMMED_LEVEL, 0]


def test_claim_is_that_of_the_current_epoch() -> None:
    found = ExecutionFilter({0: FilterPosition(), 1: FilterPosition()})
    assert found.claim(0) is None
    found.accept(0, 0, encode(Claim("first")))
    assert found.claim(0) == ("first", 0)
    found.accept(0, 1, record(0, 0))
    found.accept(0, 2, encode(LevelClaim("second", RULES_LEVEL, 5)))
    assert (found.claim(0), found.claim(1)) == (("second", 2), None)


def test_claim_of_a_resumed_filter_is_the_one_before_its_position() -> None:
    found = ExecutionFilter({0: FilterPosition(9, 4, 7), 1: FilterPosition(9, 4, 7)})
    found.claim_before(0, encode(LevelClaim("m", 3)))
    found.claim_before(1, None)
    assert (found.claim(0), found.claim(1)) == (("m", 4), None)


def test_epoch_whose_claim_was_trimmed_has_no_claim() -> None:
    found = ExecutionFilter({0: FilterPosition(3, 2, 5)}, beginnings={0: 9})
    found.claim_before(0, encode(Claim("gone")))
    assert found.claim(0) == ("gone", 2)
    found.accept(0, 9, record(8, 6))
    assert (found.position(0).epoch, found.claim(0)) == (8, None)
