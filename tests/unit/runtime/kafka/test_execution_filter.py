"""The validity rule of executions: claims, epochs, duplicates, gaps."""

from collections.abc import Sequence

import pytest

from schemas.codec import encode
from schemas.executions import Claim, Outcome, Outcomes, Ticked
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.execution_filter import Batch, ExecutionFilter, FilterPosition


def told(epoch: int, first: int, count: int = 1) -> bytes:
    outcomes = tuple(Outcome(first + n, Ticked()) for n in range(count))
    return encode(Outcomes(epoch, first, outcomes))


CLAIM = encode(Claim("m"))


def follow(records: Sequence[bytes | None], start: FilterPosition | None = None) -> list[int]:
    """The first command of each batch that counts; the nth record is at offset n."""
    execution_filter = ExecutionFilter({0: start or FilterPosition()})
    batches = [execution_filter.accept(0, at, value) for at, value in enumerate(records)]
    return [batch.first_command for batch in batches if batch is not None]


def test_records_in_sequence_of_the_current_epoch_count() -> None:
    assert follow([CLAIM, told(0, 0, 2), told(0, 2), told(0, 3, 5)]) == [0, 2, 3]


def test_nothing_counts_before_any_claim() -> None:
    assert follow([told(0, 0), told(-2, 0)]) == []


def test_stale_epoch_does_not_count_and_moves_nothing() -> None:
    records = [CLAIM, told(0, 0), CLAIM, told(0, 1, 9), told(2, 1), told(0, 50), told(2, 2)]
    assert follow(records) == [0, 1, 2]


def test_epoch_that_was_never_claimed_does_not_count() -> None:
    assert follow([CLAIM, told(7, 0), told(0, 0)]) == [0]


def test_new_epoch_goes_on_where_the_last_one_ended() -> None:
    assert follow([CLAIM, told(0, 0, 3), CLAIM, told(2, 3)]) == [0, 3]


def test_duplicate_does_not_count_even_when_it_is_longer() -> None:
    assert follow([CLAIM, told(0, 0, 2), told(0, 0, 2), told(0, 1, 4), told(0, 2)]) == [0, 2]


@pytest.mark.parametrize("records", [[CLAIM, told(0, 1)], [CLAIM, told(0, 0), told(0, 2)]])
def test_gap_is_a_broken_log(records: list[bytes | None]) -> None:
    with pytest.raises(BrokenLogError, match="expected"):
        follow(records)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b'{"type":"other"}'])
def test_record_that_cannot_be_read_is_a_broken_log(value: bytes | None) -> None:
    with pytest.raises(BrokenLogError):
        follow([CLAIM, value])


def test_position_resumes_exactly_there() -> None:
    records: list[bytes | None] = [CLAIM, told(0, 0, 2), told(0, 2), CLAIM, told(3, 3)]
    for cut in range(len(records) + 1):
        first = ExecutionFilter({0: FilterPosition()})
        seen = [first.accept(0, at, value) for at, value in enumerate(records[:cut])]
        # What was read before is read again after a restart and must not count twice.
        resumed = ExecutionFilter({0: first.position(0)})
        seen += [resumed.accept(0, at, value) for at, value in enumerate(records)]
        assert [batch.first_command for batch in seen if batch] == [0, 2, 3]


def test_partitions_do_not_know_each_other() -> None:
    execution_filter = ExecutionFilter({0: FilterPosition(), 5: FilterPosition()})
    execution_filter.accept(0, 0, CLAIM)
    execution_filter.accept(5, 9, CLAIM)
    batch = execution_filter.accept(5, 10, told(9, 0, 2))
    assert batch == Batch(5, 0, (Outcome(0, Ticked()), Outcome(1, Ticked())))
    assert execution_filter.position(5) == FilterPosition(11, 9, 2)
    assert execution_filter.position(0) == FilterPosition(1, 0, 0)


def test_old_claim_read_again_does_not_bring_its_epoch_back() -> None:
    execution_filter = ExecutionFilter({0: FilterPosition(4, 3, 7)})
    assert execution_filter.accept(0, 0, CLAIM) is None
    batch = execution_filter.accept(0, 4, told(3, 7))
    assert batch is not None
    assert batch.first_command == 7
