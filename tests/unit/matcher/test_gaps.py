"""Offsets of the command log without a record: each has a refusal as its outcome, everywhere."""

from collections.abc import Iterable, Iterator

import pytest

from schemas.codec import decode_execution, encode
from schemas.commands import Command
from schemas.executions import CommandRefused, Outcome, Outcomes
from schemas.snapshots import PublishedPosition
from services.matcher.claim import Claimed
from services.matcher.engine import Engine
from services.matcher.gaps import OFFSETS_MAX, without_gaps
from services.matcher.partition import PartitionMatcher
from services.matcher.publish import OutcomePublisher
from services.matcher.recovery import Recovered
from services.matcher.standby_partition import StandbyPartition
from services.replay.command_log import commands
from services.replay.recompute import Recomputation, command_of
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.execution_filter import FilterPosition
from services.runtime.kafka.log_reader import Record
from tests.support.orders import START_MS, cancel, limit
from tests.unit.matcher.test_tick import Written

NO_RECORD = CommandRefused("malformed_command")
# Offsets 2 and 4 to 5 hold no record, and the log ends at 8 after two more.
WRITTEN: dict[int, Command] = {0: limit(1), 1: limit(2, price=900), 3: limit(3), 6: cancel(2)}
END = 8
ABSENT = (2, 4, 5, 7)


class SentOutcomes:
    """A sender that records the outcomes."""

    def __init__(self) -> None:
        self.outcomes: dict[int, Outcome] = {}

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        decoded = decode_execution(value)
        assert isinstance(decoded, Outcomes)
        self.outcomes.update(enumerate(decoded.outcomes, decoded.first_offset))

    def check(self) -> None:
        """Fail nothing."""

    def settle(self, timeout_s: float) -> bool:
        return timeout_s > 0

    def flush(self) -> None:
        """Wait for nothing."""


class MemoryReader:
    """A command log as replay reads it."""

    end = END

    def records(self, first: int) -> Iterator[Record]:
        for offset, command in WRITTEN.items():
            if offset >= first:
                yield Record(offset, START_MS + offset, None, encode(command))


def written(offsets: Iterable[int] = WRITTEN) -> list[Written]:
    return [Written(WRITTEN[offset], offset, START_MS + offset) for offset in offsets]


def matched(*lists: list[Written], end: int = END) -> tuple[dict[int, Outcome], Engine]:
    """The outcomes that a matcher publishes if it polls these lists, and its engine."""
    sent, public = SentOutcomes(), SentOutcomes()
    claimed = Claimed(
        0,
        0,
        0,
        Recovered(Engine(0), FilterPosition()),
        PublishedPosition(END),
        PublishedPosition(END),
    )
    matcher = PartitionMatcher(claimed, OutcomePublisher("", sent, public))
    for polled in lists:
        matcher.handle(polled)
    matcher.reached(end)
    return sent.outcomes, matcher.engine


def test_matcher_refuses_each_offset_without_a_record() -> None:
    outcomes, _ = matched(written())
    assert list(outcomes) == list(range(END))
    assert [at for at, outcome in outcomes.items() if outcome.event == NO_RECORD] == list(ABSENT)
    # The clock stays: an absent record has no timestamp.
    assert outcomes[4].time == outcomes[5].time == START_MS + 3


def test_matcher_outcomes_do_not_depend_on_when_a_gap_is_noticed() -> None:
    whole, engine = matched(written())
    single, other = matched(*([one] for one in written()))
    assert single == whole
    assert engine.digest() == other.digest()


def test_matcher_that_reached_the_end_of_a_dense_log_refuses_nothing() -> None:
    outcomes, _ = matched(written([0, 1]), end=2)
    assert NO_RECORD not in [outcome.event for outcome in outcomes.values()]


def test_replay_gives_the_outcomes_of_the_matcher() -> None:
    outcomes, engine = matched(written())
    replay = Recomputation(Engine(0))
    found = {
        record.offset: replay.apply(record.offset, record.timestamp, command_of(record.value))
        for record in commands(MemoryReader(), 0)  # type: ignore[arg-type]
    }
    assert found == outcomes
    assert replay.engine.digest() == engine.digest()


def test_standby_has_the_engine_of_the_matcher() -> None:
    _, engine = matched(written())
    standby = StandbyPartition(0, Recovered(Engine(0), FilterPosition()), lag_commands=0)
    for record in written():
        standby.command(record)
    standby.reached(END)
    assert standby.read_to == END
    outcomes = Outcomes(-1, 0, tuple(matched(written())[0].values()))
    standby.execution(Executed(outcomes))
    standby.catch_up()
    assert standby.next_offset == END
    assert standby.engine.digest() == engine.digest()


class Executed:
    """A record of executions at offset 0."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._value = encode(outcomes)

    def offset(self) -> int:
        return 0

    def value(self) -> bytes:
        return self._value


def test_dense_records_are_returned_as_they_are() -> None:
    records = written([0, 1])
    assert without_gaps(records, 0) is records


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        pytest.param(7, "expected command 7, received 6", id="repeated"),
        pytest.param(6 - OFFSETS_MAX - 1, "those between are lost", id="a lost segment"),
    ],
)
def test_offsets_that_no_marker_explains_stop_the_reader(expected: int, said: str) -> None:
    with pytest.raises(BrokenLogError, match=said):
        without_gaps(written([6]), expected)
