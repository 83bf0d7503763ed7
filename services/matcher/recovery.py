"""Where a starting matcher begins: the newest snapshot that is good, else the log's beginning.

1. Commits are looked for from the topic's end backwards, each of them: a chain could lead past the
   newer ones, since a matcher that was overtaken may still finish a snapshot of its own.
2. A snapshot that is damaged, incomplete, foreign, of another version, or that does not fit the
   logs as they are, is passed over for the one before, and it is said why.
3. Without any, the whole log is replayed, if it still has its beginning; else nobody starts.
"""

import logging
from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct

from schemas.codec import UnreadableError, decode_snapshot
from schemas.snapshots import SnapshotCommit
from schemas.topics import COMMANDS, EXECUTIONS, SNAPSHOTS
from services.matcher.engine import Engine
from services.matcher.snapshot import UnusableSnapshotError, restore
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.consumer import Partition, Range
from services.runtime.kafka.execution_filter import FilterPosition

logger = logging.getLogger(__name__)

# Records that are fetched at once on the way back to a commit; usually it is the very last.
LOOK_BACK_RECORDS = 64


class Record(Protocol):
    """A record as the client library gives it."""

    def offset(self) -> int | None: ...
    def value(self) -> bytes | None: ...


class Reading(Protocol):
    """What a start needs of the log; `LogConsumer` is one."""

    def range(self, partition: Partition) -> Range:
        """What the partition holds now."""

    def read(self, partition: Partition, start: int, end: int) -> Iterator[Record]:
        """The records from `start` up to but not including `end`."""


class Log(Struct, frozen=True):
    """The log a matcher works on: its topics' prefix, and the executions topic's own id."""

    prefix: str
    topic_id: str

    def partition(self, topic_name: str, number: int) -> Partition:
        """One of its partitions."""
        return Partition(self.prefix + topic_name, number)


class Recovered(Struct, frozen=True):
    """An engine and where it stands; `commit`: the record of its snapshot, if it comes from one."""

    engine: Engine
    position: FilterPosition
    commit: int | None = None


def recover(logs: Reading, log: Log, number: int, epoch: int) -> Recovered:
    """For the matcher whose claim is `epoch`. Raises BrokenLogError, UnavailableError."""
    commands = logs.range(log.partition(COMMANDS.name, number))
    executions = Range(logs.range(log.partition(EXECUTIONS.name, number)).low, epoch + 1)
    snapshots = log.partition(SNAPSHOTS.name, number)
    for record, commit in commits_of(logs, snapshots):
        try:
            _require_fit(commit, log, number, commands, executions)
            if commit.first_chunk < logs.range(snapshots).low:
                raise UnusableSnapshotError(f"its chunks began at {commit.first_chunk}")
            chunks = logs.read(snapshots, commit.first_chunk, record)
            engine = restore(commit, (chunk.value() or b"" for chunk in chunks))
        except (UnusableSnapshotError, BrokenLogError) as error:
            fields = {"partition": number, "record": record, "reason": str(error)}
            logger.warning("unusable snapshot, passed over", extra={"fields": fields})
            continue
        position = FilterPosition(commit.next_record, commit.epoch, commit.next_command)
        fields = {"partition": number, "record": record, "next_command": commit.next_command}
        logger.info("snapshot loaded", extra={"fields": fields})
        return Recovered(engine, position, record)
    if commands.low > 0:
        raise BrokenLogError(
            f"{COMMANDS.name}/{number} begins at {commands.low} and no good snapshot reaches it: "
            f"its books cannot be rebuilt; bring back the older commands or a snapshot"
        )
    return Recovered(Engine(number), FilterPosition(executions.low))


def _require_fit(
    commit: SnapshotCommit, log: Log, number: int, commands: Range, executions: Range
) -> None:
    if (commit.log, commit.partition) != (log.topic_id, number):
        raise UnusableSnapshotError(f"it is of partition {commit.partition} of log {commit.log}")
    if not commands.low <= commit.next_command <= commands.end:
        raise UnusableSnapshotError(
            f"it stands before command {commit.next_command}, the log holds {commands.low} to "
            f"{commands.end}"
        )
    if not executions.low <= commit.next_record <= executions.end:
        raise UnusableSnapshotError(
            f"it continues at record {commit.next_record} of the executions, which hold "
            f"{executions.low} to {executions.end}"
        )


def commits_of(logs: Reading, snapshots: Partition) -> Iterator[tuple[int, SnapshotCommit]]:
    """Record and commit, newest first."""
    held = logs.range(snapshots)
    before = held.end
    while (found := _newest_commit(logs, snapshots, Range(held.low, before))) is not None:
        yield found
        before = found[0]


def _newest_commit(
    logs: Reading, snapshots: Partition, within: Range
) -> tuple[int, SnapshotCommit] | None:
    end = within.end
    while end > within.low:
        start = max(within.low, end - LOOK_BACK_RECORDS)
        found = None
        for message in logs.read(snapshots, start, end):
            try:
                snapshot = decode_snapshot(message.value())
            except UnreadableError:
                continue
            if isinstance(snapshot, SnapshotCommit):
                found = (message.offset() or 0, snapshot)
        if found is not None:
            return found
        end = start
    return None
