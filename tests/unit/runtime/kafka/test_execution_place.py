"""A reader's place in executions that have lost their tail, or were trimmed."""

import pytest

from schemas.codec import encode
from schemas.executions import RULES_LEVEL, LevelClaim, Outcome, Outcomes, Ticked, epoch_of
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.execution_filter import NO_EPOCH, ExecutionFilter, FilterPosition
from services.runtime.kafka.execution_place import (
    Evidence,
    NoPlaceError,
    evidence,
    leads_to,
    placed,
)
from services.runtime.kafka.unreadable import log_unreadable
from tests.simulation.memory_log import MemoryLog

EXECUTIONS, COMMANDS = Partition("executions", 0), Partition("commands", 0)
COMMANDS_END = 1_000
BEGINNING = FilterPosition()


class Executions:
    """A log with claims of matchers, each with another nonce, and their outcomes."""

    def __init__(self) -> None:
        self.log = MemoryLog(0)
        self._nonce = 0
        for _ in range(COMMANDS_END):
            self.log.append(COMMANDS, b"")

    def claim(self) -> int:
        """Append a claim; its epoch."""
        self._nonce += 1
        claim = LevelClaim("m", RULES_LEVEL, self._nonce)
        return epoch_of(claim, self.log.append(EXECUTIONS, encode(claim)))

    def outcomes(self, epoch: int, first: int, count: int = 1) -> None:
        """Append outcomes, whose time is the command's offset."""
        told = tuple(Outcome(first + n, Ticked()) for n in range(count))
        self.log.append(EXECUTIONS, encode(Outcomes(epoch, first, told)))

    def followed(self, at: FilterPosition = BEGINNING) -> FilterPosition:
        """The position of a reader at the end."""
        return self._read(at)[1]

    def read_on(self, at: FilterPosition) -> list[int]:
        """The commands whose outcomes a reader with this stored position gets."""
        return self._read(placed(self.log, EXECUTIONS, COMMANDS, at))[0]

    def _read(self, at: FilterPosition) -> tuple[list[int], FilterPosition]:
        followed, found = ExecutionFilter({0: at}, log_unreadable), list[int]()
        end = self.log.range(EXECUTIONS).end
        for record in self.log.read(EXECUTIONS, at.next_record, end):
            if (batch := followed.accept(0, record.offset(), record.value())) is not None:
                assert [o.time for o in batch.outcomes] == [
                    batch.first_command + n for n in range(len(batch.outcomes))
                ]
                found += [outcome.time for outcome in batch.outcomes]
        return found, followed.position(0)


@pytest.fixture
def log() -> Executions:
    return Executions()


def test_position_in_an_unchanged_log_is_kept(log: Executions) -> None:
    epoch = log.claim()
    after_claim = log.followed()
    log.outcomes(epoch, 0, 3)
    at = log.followed()
    log.outcomes(epoch, 3)
    for stored in (BEGINNING, after_claim, at, log.followed()):
        assert placed(log.log, EXECUTIONS, COMMANDS, stored) == stored
    assert evidence(log.log, EXECUTIONS, after_claim) == Evidence(0, None)
    assert evidence(log.log, EXECUTIONS, at) == Evidence(1, 3)
    assert evidence(log.log, EXECUTIONS, FilterPosition(3, epoch, 3)) is None
    assert log.read_on(at) == [3]


def test_evidence_lies_behind_records_that_do_not_count(log: Executions) -> None:
    stale, epoch = log.claim(), log.claim()
    log.outcomes(epoch, 0, 2)
    for _ in range(200):
        log.outcomes(stale, 0)
    log.log.append(EXECUTIONS, b"{")
    log.log.append_marker(EXECUTIONS)
    at = log.followed()
    assert evidence(log.log, EXECUTIONS, at) == Evidence(2, 2)


def test_reader_ahead_of_the_log_gets_the_outcomes_after_its_own(log: Executions) -> None:
    epoch = log.claim()
    for command in range(10):
        log.outcomes(epoch, command)
    stored = log.followed()
    log.log.cut(EXECUTIONS, 4)
    waiting = placed(log.log, EXECUTIONS, COMMANDS, stored)
    assert waiting == FilterPosition(3, epoch, 10)
    # Other records than before, and a longer log: the stored offset lies within it again.
    again = log.claim()
    log.outcomes(again, 3, 9)
    for command in range(12, 20):
        log.outcomes(again, command)
    assert log.read_on(stored) == log._read(waiting)[0] == list(range(10, 20))


def test_reader_whose_record_was_replaced_by_one_of_the_same_command_finds_the_new_epoch(
    log: Executions,
) -> None:
    epoch = log.claim()
    log.outcomes(epoch, 0)
    log.outcomes(epoch, 1)
    stored = log.followed()
    log.log.cut(EXECUTIONS, 0)
    again = log.claim()
    assert again != epoch
    log.outcomes(again, 0)
    log.outcomes(again, 1)
    log.outcomes(again, 2)
    assert log.read_on(stored) == [2]


def test_reader_of_a_log_that_has_lost_everything_waits_for_a_claim(log: Executions) -> None:
    epoch = log.claim()
    log.outcomes(epoch, 0, 5)
    stored = log.followed()
    log.log.cut(EXECUTIONS, 0)
    assert placed(log.log, EXECUTIONS, COMMANDS, stored) == FilterPosition(0, NO_EPOCH, 5)
    log.outcomes(log.claim(), 0, 7)
    assert log.read_on(stored) == [5, 6]


def test_reader_that_stopped_long_before_the_loss_starts_in_the_epoch_of_its_command(
    log: Executions,
) -> None:
    first = log.claim()
    log.outcomes(first, 0, 4)
    second = log.claim()
    log.outcomes(second, 4, 4)
    log.outcomes(first, 2)
    third = log.claim()
    log.outcomes(third, 8, 4)
    for command, expected in ((2, first), (4, second), (7, second), (8, third), (11, third)):
        at = placed(log.log, EXECUTIONS, COMMANDS, FilterPosition(99, 5, command))
        assert at.epoch == expected
        assert log._read(at)[0] == list(range(command, 12))


def test_place_behind_a_claim_without_outcomes_is_in_an_earlier_epoch(log: Executions) -> None:
    first = log.claim()
    log.outcomes(first, 0, 8)
    log.claim()
    last = log.claim()
    assert placed(log.log, EXECUTIONS, COMMANDS, FilterPosition(99, 5, 3)).epoch == first
    log.outcomes(last, 8)
    assert log.read_on(FilterPosition(99, 5, 3)) == [3, 4, 5, 6, 7, 8]


def test_position_behind_the_end_of_the_commands_has_no_place(log: Executions) -> None:
    log.outcomes(log.claim(), 0, 5)
    with pytest.raises(NoPlaceError, match="commands ends at 1000"):
        placed(log.log, EXECUTIONS, COMMANDS, FilterPosition(9, 0, COMMANDS_END + 1))
    placed(log.log, EXECUTIONS, COMMANDS, FilterPosition(9, 0, COMMANDS_END))


def test_trimmed_log_has_a_place_while_it_holds_the_outcomes(log: Executions) -> None:
    epoch = log.claim()
    for command in range(9):
        log.outcomes(epoch, command)
    log.log.trim(EXECUTIONS, 6)
    # Right at the cut of a version that kept no record before it.
    assert log.read_on(FilterPosition(6, epoch, 5)) == [5, 6, 7, 8]
    # The claim is gone; the first outcomes of its epoch stand for it.
    assert placed(log.log, EXECUTIONS, COMMANDS, FilterPosition(99, 5, 7)) == FilterPosition(
        8, epoch, 7
    )
    with pytest.raises(NoPlaceError, match="to record 6"):
        placed(log.log, EXECUTIONS, COMMANDS, FilterPosition(99, 5, 4))
    # Of a matcher whose claim at record 8 was lost, and is not there.
    log.outcomes(epoch_of(LevelClaim("m", RULES_LEVEL, 99), 8), 3)
    assert placed(log.log, EXECUTIONS, COMMANDS, FilterPosition(99, 5, 7)).epoch == epoch
    log.log.trim(EXECUTIONS, 11)
    at_end = placed(log.log, EXECUTIONS, COMMANDS, FilterPosition(11, epoch, 9))
    log.outcomes(epoch, 9)
    assert log._read(at_end)[0] == [9]


def test_snapshot_leads_to_its_command_only_while_the_outcomes_before_it_are_there(
    log: Executions,
) -> None:
    epoch = log.claim()
    log.outcomes(epoch, 0)
    at = FilterPosition(2, epoch, 4)
    for command in range(1, 4):
        assert not leads_to(log.log, EXECUTIONS, at, log.log.range(EXECUTIONS).end)
        log.outcomes(epoch, command)
    assert leads_to(log.log, EXECUTIONS, at, log.log.range(EXECUTIONS).end)
    assert not leads_to(log.log, EXECUTIONS, at, 4)
    log.log.cut(EXECUTIONS, 1)
    # Records of a lost claim take the place of the outcomes, behind the claim that is left.
    log.outcomes(epoch_of(LevelClaim("m", RULES_LEVEL, 99), 1), 0, 9)
    log.outcomes(epoch_of(LevelClaim("m", RULES_LEVEL, 99), 1), 9)
    assert not leads_to(log.log, EXECUTIONS, at, log.log.range(EXECUTIONS).end)
    assert leads_to(log.log, EXECUTIONS, FilterPosition(1, epoch, 0), 1)
    log.log.cut(EXECUTIONS, 1)
    log.outcomes(log.claim(), 0, 9)
    assert not leads_to(log.log, EXECUTIONS, at, log.log.range(EXECUTIONS).end)
