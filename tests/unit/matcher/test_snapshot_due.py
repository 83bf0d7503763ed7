"""Snapshots: when one is due, and the execution record from which it continues."""

import pytest

from schemas.codec import encode
from schemas.commands import Tick
from schemas.executions import RULES_LEVEL, LevelClaim, Outcome, Outcomes, Ticked, epoch_of
from schemas.snapshots import PublishedPosition
from services.matcher.claim import Claimed
from services.matcher.engine import Engine
from services.matcher.gaps import AbsentRecord
from services.matcher.ownership import Ownership
from services.matcher.partition import PartitionMatcher
from services.matcher.publish import OutcomePublisher
from services.matcher.recovery import Recovered
from services.runtime.kafka.execution_filter import FilterPosition
from tests.simulation.memory_log import MemoryLog, MemorySender

CLAIM_RECORD = 7
EPOCH = epoch_of(LevelClaim("m", RULES_LEVEL, 3), CLAIM_RECORD)


def matcher_with(published: int) -> PartitionMatcher:
    """A matcher at the beginning, of whose commands this many have outcomes."""
    recovered = Recovered(Engine(0), FilterPosition())
    claimed = Claimed(0, EPOCH, published, recovered, PublishedPosition(), PublishedPosition())
    sender = MemorySender(MemoryLog(0))
    return PartitionMatcher(claimed, OutcomePublisher("", sender, sender))


def test_snapshot_after_a_replay_continues_behind_the_claim() -> None:
    matcher = matcher_with(published=2)
    matcher.handle([AbsentRecord(0)])
    assert not matcher.snapshot_due(1, None)
    matcher.handle([AbsentRecord(1)])
    assert not matcher.snapshot_due(3, None)
    assert matcher.snapshot_due(2, None)
    assert matcher.snapshot("log", None).at.next_record == CLAIM_RECORD + 1
    assert not matcher.snapshot_due(1, None)


def test_snapshot_after_own_outcomes_waits_until_some_were_read_back() -> None:
    matcher, ownership = matcher_with(published=1), Ownership({0: EPOCH})
    matcher.handle([AbsentRecord(0), AbsentRecord(1)])
    assert not matcher.snapshot_due(1, ownership.behind_outcomes(0))
    ownership.observe(0, CLAIM_RECORD + 1, encode(Outcomes(EPOCH - 1, 1, (Outcome(1, Ticked()),))))
    ownership.observe(0, CLAIM_RECORD + 2, encode(Tick()))
    assert ownership.behind_outcomes(0) is None
    ownership.observe(0, CLAIM_RECORD + 3, encode(Outcomes(EPOCH, 1, (Outcome(1, Ticked()),))))
    ownership.observe(0, CLAIM_RECORD + 4, None)
    behind = ownership.behind_outcomes(0)
    assert matcher.snapshot_due(1, behind)
    assert matcher.snapshot("log", behind).at.next_record == CLAIM_RECORD + 4


@pytest.mark.parametrize("nonce", [0, 1, (1 << 22) - 1])
def test_own_outcomes_are_recognised_by_their_first_bytes(nonce: int) -> None:
    epoch = epoch_of(LevelClaim("m", RULES_LEVEL, nonce), 5)
    ownership = Ownership({0: epoch})
    ownership.observe(0, 6, encode(Outcomes(epoch * 10 + 1, 0, ())))
    assert ownership.behind_outcomes(0) is None
    ownership.observe(0, 7, encode(Outcomes(epoch, 0, ())))
    assert ownership.behind_outcomes(0) == 8
