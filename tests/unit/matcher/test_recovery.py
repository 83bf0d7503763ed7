"""Choice of the snapshot that a matcher starts from after a loss of public records."""

import pytest

from schemas.codec import encode
from schemas.executions import Claim, Outcome, Outcomes, Ticked
from schemas.snapshots import Published, PublishedPosition
from schemas.topics import COMMANDS, EXECUTIONS, SNAPSHOTS
from services.matcher.engine import Engine
from services.matcher.recovery import LogTopics, recover
from services.matcher.snapshot import SnapshotChecksum, SnapshotPosition, save
from tests.simulation.memory_log import MemoryLog

LOG = LogTopics("", "the log")
RECORDS = 8
OUTCOME = Outcome(1, Ticked())
OLDER, NEWER = (
    Published(PublishedPosition(command, 1), PublishedPosition(command)) for command in (3, 7)
)


@pytest.fixture
def topics() -> MemoryLog:
    """Topics with one snapshot before command 4 and one before command 8."""
    log = MemoryLog(0)
    # A claim, the outcomes of two commands, then of one command each.
    told = [
        Outcomes(0, 0, (OUTCOME,) * 2),
        *(Outcomes(0, n, (OUTCOME,)) for n in range(2, RECORDS)),
    ]
    for record in (Claim("m"), *told):
        log.append(LOG.partition(COMMANDS, 0), b"{}")
        log.append(LOG.partition(EXECUTIONS, 0), encode(record))
    for next_command, published in ((4, OLDER), (8, NEWER)):
        at = SnapshotPosition(LOG.topic_id, 0, next_command, next_command, published)
        commit = SnapshotChecksum().commit(save(Engine(0), at), 0)
        log.append(LOG.partition(SNAPSHOTS, 0), encode(commit))
    return log


@pytest.mark.parametrize(
    ("published", "commit"),
    [
        (NEWER, 1),
        (OLDER, 0),
        (Published(NEWER.trades, OLDER.book), 0),
        (Published(OLDER.trades, NEWER.book), 0),
        (Published(PublishedPosition(3, 0), OLDER.book), None),
        (None, 1),
    ],
)
def test_recovery_uses_the_newest_snapshot_whose_public_records_are_all_there(
    topics: MemoryLog, published: Published | None, commit: int | None
) -> None:
    assert recover(topics, LOG, 0, RECORDS, published).commit == commit


def test_recovery_of_a_trimmed_log_uses_the_newest_snapshot_if_no_other_serves(
    topics: MemoryLog,
) -> None:
    topics.trim(LOG.partition(COMMANDS, 0), 2)
    assert recover(topics, LOG, 0, RECORDS, Published()).commit == 1


def test_recovery_uses_no_snapshot_whose_outcomes_a_power_cut_took(topics: MemoryLog) -> None:
    for end, commit in ((RECORDS, 1), (RECORDS - 1, 0), (4, 0), (3, None)):
        topics.cut(LOG.partition(EXECUTIONS, 0), end)
        # Other records take the offsets of lost ones.
        for _ in range(RECORDS):
            topics.append(LOG.partition(EXECUTIONS, 0), encode(Claim("m")))
        assert recover(topics, LOG, 0, RECORDS).commit == commit
