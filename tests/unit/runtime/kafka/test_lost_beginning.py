"""The execution filter where a trimmed log has lost its claims."""

from schemas.codec import encode
from schemas.executions import Claim, Outcome, Outcomes, Ticked
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition

LOW = 50


def outcomes_at(epoch: int, first: int, count: int = 2) -> bytes:
    return encode(Outcomes(epoch, first, tuple(Outcome(1, Ticked()) for _ in range(count))))


def filter_from(low: int = LOW) -> ExecutionFilter:
    return ExecutionFilter({0: FilterPosition()}, beginnings={0: low})


def test_first_outcomes_stand_for_their_lost_claim() -> None:
    found = filter_from()
    batch = found.accept(0, LOW, outcomes_at(10, 200))
    assert batch is not None
    assert batch.first_command == 200
    assert found.position(0) == FilterPosition(LOW + 1, 10, 202)
    assert found.accept(0, LOW + 1, outcomes_at(10, 202)) is not None


def test_outcomes_of_a_later_lost_claim_replace_those_of_a_stale_matcher() -> None:
    found = filter_from()
    found.accept(0, LOW, outcomes_at(10, 300))
    batch = found.accept(0, LOW + 1, outcomes_at(20, 200))
    assert batch is not None
    assert batch.first_command == 200
    assert found.accept(0, LOW + 2, outcomes_at(10, 302)) is None


def test_claim_that_is_there_counts_alone() -> None:
    found = filter_from()
    found.accept(0, LOW, encode(Claim("m")))
    assert found.accept(0, LOW + 1, outcomes_at(10, 0)) is None
    assert found.accept(0, LOW + 2, outcomes_at(LOW, 0)) is not None


def test_whole_log_counts_nothing_before_its_first_claim() -> None:
    assert filter_from(0).accept(0, 0, outcomes_at(10, 0)) is None
    assert ExecutionFilter({0: FilterPosition()}).accept(0, LOW, outcomes_at(10, 0)) is None
