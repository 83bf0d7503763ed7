"""Finds the starting state of a matcher: the newest valid snapshot, else the empty engine.

1. Commits are searched one by one from the end of the topic. A chain of commits could lead past
   the newest one, since an overtaken matcher may still finish an older snapshot.
2. A snapshot that is damaged, incomplete, foreign, of another version, or that does not fit the
   present logs is skipped with a log line that gives the reason.
3. So is a snapshot of a time when a public topic contained records that it lacks now, because a
   power loss took them: the replay from an older one publishes them again.
4. Without any snapshot the whole command log is replayed. If its beginning is gone, the newest of
   those under 3 serves; if there is none, the matcher does not start.
"""

import logging
from collections.abc import Iterator

from msgspec import Struct

from schemas.codec import UnreadableError, decode_snapshot
from schemas.snapshots import Published, SnapshotCommit
from schemas.topics import COMMANDS, EXECUTIONS, SNAPSHOTS, Topic
from services.matcher.engine import Engine
from services.matcher.snapshot import UnusableSnapshotError, restore
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.consumer import Partition, Range
from services.runtime.kafka.execution_filter import FilterPosition
from services.runtime.kafka.execution_place import leads_to
from services.runtime.kafka.reading import Reading
from services.runtime.kafka.records import record_offset

logger = logging.getLogger(__name__)

# Records per fetch on the way back to a commit, which usually is the very last record.
LOOK_BACK_RECORDS = 64


class LogTopics(Struct, frozen=True):
    """The topics of one exchange: their prefix, and the id of the executions topic."""

    prefix: str
    topic_id: str

    def partition(self, topic: Topic, number: int) -> Partition:
        """One partition of a topic."""
        return Partition(topic.full_name(self.prefix), number)


class Recovered(Struct, frozen=True):
    """An engine and its position. `commit` is the record of its snapshot, if it comes from one,
    `published` the public positions at that time."""

    engine: Engine
    position: FilterPosition
    commit: int | None = None
    published: Published = Published()


def recover(
    logs: Reading,
    log: LogTopics,
    number: int,
    executions_end: int,
    published: Published | None = None,
) -> Recovered:
    """Recover for the claim before `executions_end`; `published`: the present public positions,
    None if they do not matter. Raises BrokenLogError, UnavailableError.
    """
    found = _from_snapshot(logs, log, number, executions_end, published)
    if found is not None:
        return found
    commands = logs.range(log.partition(COMMANDS, number))
    if commands.low > 0:
        found = _from_snapshot(logs, log, number, executions_end, None) if published else None
        if found is not None:
            fields = {"partition": number, "record": found.commit}
            logger.warning(
                "lost public records cannot be published again", extra={"fields": fields}
            )
            return found
        raise BrokenLogError(
            f"{COMMANDS.name}/{number} begins at {commands.low} and no good snapshot reaches it: "
            f"its books cannot be rebuilt; bring back the older commands or a snapshot"
        )
    executions = logs.range(log.partition(EXECUTIONS, number))
    return Recovered(Engine(number), FilterPosition(executions.low))


def _from_snapshot(
    logs: Reading,
    log: LogTopics,
    number: int,
    executions_end: int,
    published: Published | None,
) -> Recovered | None:
    for record, commit in commits_of(logs, log.partition(SNAPSHOTS, number)):
        then = commit.published or Published()
        try:
            if published is not None and not published.covers(then):
                raise UnusableSnapshotError("public records of before it are lost")
            engine = restored(logs, log, number, record, commit, executions_end)
        except (UnusableSnapshotError, BrokenLogError) as error:
            fields = {"partition": number, "record": record, "reason": str(error)}
            logger.warning("unusable snapshot, passed over", extra={"fields": fields})
            continue
        position = position_of(commit)
        fields = {"partition": number, "record": record, "next_command": commit.next_command}
        logger.info("snapshot loaded", extra={"fields": fields})
        return Recovered(engine, position, record, then)
    return None


def position_of(commit: SnapshotCommit) -> FilterPosition:
    """The position in the executions from which the outcomes after the snapshot follow."""
    return FilterPosition(commit.next_record, commit.epoch, commit.next_command)


def restored(
    logs: Reading,
    log: LogTopics,
    number: int,
    record: int,
    commit: SnapshotCommit,
    executions_end: int,
) -> Engine:
    """The engine of the snapshot whose commit is at `record`. Raises UnusableSnapshotError."""
    commands = logs.range(log.partition(COMMANDS, number))
    executions = Range(logs.range(log.partition(EXECUTIONS, number)).low, executions_end)
    _require_fit(commit, log, number, commands, executions)
    where = log.partition(EXECUTIONS, number)
    if not leads_to(logs, where, position_of(commit), executions_end):
        # Their commands have to be applied again, from an earlier state.
        raise UnusableSnapshotError("the executions have lost outcomes from before it")
    snapshots = log.partition(SNAPSHOTS, number)
    if commit.first_chunk < logs.range(snapshots).low:
        raise UnusableSnapshotError(f"its chunks began at {commit.first_chunk}")
    chunks = logs.read(snapshots, commit.first_chunk, record)
    return restore(commit, (chunk.value() or b"" for chunk in chunks))


def _require_fit(
    commit: SnapshotCommit, log: LogTopics, number: int, commands: Range, executions: Range
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
    """Commits and their record offsets, newest first."""
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
                found = (record_offset(message), snapshot)
        if found is not None:
            return found
        end = start
    return None
