"""Deletes the beginning of the command log and of the executions, partition by partition.

The cut lies before everything that a restart needs: the oldest snapshot that can be restored, and
the position of PostgreSQL, from which readers and the sink continue. Of the executions the record
right before these places is kept too: it shows that the log still leads there. So recovery works
as before, from any of the kept snapshots. Deleted commands cannot be recomputed: PostgreSQL
is then the only copy of the orders and balances from before the cut.
"""

from contextlib import closing
from typing import LiteralString

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from msgspec import Struct

from schemas.snapshots import SnapshotCommit
from schemas.topics import COMMANDS, EXECUTIONS, SNAPSHOTS
from services.matcher.recovery import LogTopics, commits_of, position_of, restored
from services.matcher.snapshot import UnusableSnapshotError
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.admin import ATTEMPT_S, call_with_retry
from services.runtime.kafka.client_config import KafkaAccess, kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.execution_filter import FilterPosition
from services.runtime.kafka.execution_place import NoPlaceError, evidence, placed
from services.runtime.kafka.topic_identity import LogIdentity, log_identity
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.postgres.connection import command_errors, connect_or_fail
from services.runtime.settings import Settings

# Snapshots and executions are not flushed to disk at once: the operating system writes them within
# a minute. Until then a power loss could take them, and the log before them must still be there.
SETTLED_MS = 3_600_000

_POSITIONS: LiteralString = """
    SELECT partition, next_record, epoch, next_command FROM log_positions
    WHERE EXISTS (
        SELECT FROM log_identity WHERE (cluster_id, topic, topic_id) = (%s, %s, %s)
    )
"""


class LogCut(Struct, frozen=True):
    """Offsets of one partition: the present first ones, and the first ones after the cut.

    `limit`: the reason why the cut is not later: `age`, `snapshot` or `database`.
    """

    partition: int
    commands_low: int
    commands_cut: int
    executions_low: int
    executions_cut: int
    limit: str


class Bounds(Struct, frozen=True):
    """Times in milliseconds: only records from before `before_ms` are deleted, and only a snapshot
    from before `settled_ms` replaces them."""

    before_ms: int
    settled_ms: int


def trim_log(settings: Settings, bounds: Bounds, *, dry_run: bool) -> list[LogCut]:
    """Cut every partition. `dry_run`: only compute.

    Raises UnavailableError, AccessError, TopicsError.
    """
    kafka = kafka_access(settings)
    partitions = TopicsAdmin(kafka, settings.topic_prefix).verify().partitions
    identity = log_identity(kafka, settings.topic_prefix)
    stored = _stored(settings.database_url, identity)
    log = LogTopics(settings.topic_prefix, identity.topic_id)
    with closing(LogConsumer(kafka, Fetch(wait_ms=10))) as consumer:
        cuts = [
            _cut(kafka, consumer, log, number, stored.get(number, FilterPosition()), bounds)
            for number in range(partitions)
        ]
    if not dry_run:
        _delete(kafka, log, cuts)
    return cuts


def _stored(database_url: str, identity: LogIdentity) -> dict[int, FilterPosition]:
    """The positions in PostgreSQL, by partition."""
    with command_errors(), closing(connect_or_fail(database_url)) as connection:
        asked = [identity.cluster_id, identity.topic, identity.topic_id]
        rows = connection.execute(_POSITIONS, asked).fetchall()
    return {partition: FilterPosition(*position) for partition, *position in rows}


def _cut(
    kafka: KafkaAccess,
    consumer: LogConsumer,
    log: LogTopics,
    number: int,
    stored: FilterPosition,
    bounds: Bounds,
) -> LogCut:
    commands, executions = (log.partition(topic, number) for topic in (COMMANDS, EXECUTIONS))
    held = consumer.range(commands), consumer.range(executions)
    commit = _oldest_snapshot(consumer, log, number, held[1].end, bounds.settled_ms)
    if commit is None:
        # Without a snapshot every command is needed.
        return LogCut(number, held[0].low, held[0].low, held[1].low, held[1].low, "snapshot")
    try:
        place = placed(consumer, executions, commands, stored)
    except NoPlaceError:
        # Of another log, or of one that was trimmed already: whatever it needs is kept.
        place = FilterPosition()
    by_limit = {
        "age": tuple(
            _first_since(kafka, partition, bounds.before_ms, range_.end)
            for partition, range_ in zip((commands, executions), held, strict=True)
        ),
        "snapshot": _kept(consumer, executions, position_of(commit)),
        "database": _kept(consumer, executions, place),
    }
    limit = min(by_limit, key=lambda name: by_limit[name][0])
    cut = [max(held[i].low, min(each[i] for each in by_limit.values())) for i in range(2)]
    return LogCut(number, held[0].low, cut[0], held[1].low, cut[1], limit)


def _kept(consumer: LogConsumer, executions: Partition, at: FilterPosition) -> tuple[int, int]:
    """The first command and the first execution record that a reader at this place needs."""
    before = evidence(consumer, executions, at)
    return at.next_command, at.next_record if before is None else before.record


def _oldest_snapshot(
    consumer: LogConsumer, log: LogTopics, number: int, executions_end: int, settled_ms: int
) -> SnapshotCommit | None:
    """The oldest snapshot that a matcher could start from."""
    topic = log.partition(SNAPSHOTS, number)
    for record, commit in reversed(list(commits_of(consumer, topic))):
        if not _settled(consumer, topic, record, settled_ms):
            return None
        try:
            restored(consumer, log, number, record, commit, executions_end)
        except (UnusableSnapshotError, BrokenLogError):
            continue
        return commit
    return None


def _settled(consumer: LogConsumer, topic: Partition, record: int, settled_ms: int) -> bool:
    written = [message.timestamp()[1] for message in consumer.read(topic, record, record + 1)]
    return bool(written) and written[0] <= settled_ms


def _first_since(kafka: KafkaAccess, partition: Partition, time_ms: int, end: int) -> int:
    """The first offset whose record is of `time_ms` or later; `end` if there is none."""
    where = TopicPartition(*partition)

    def ask(admin: AdminClient) -> int:
        spec = {where: OffsetSpec.for_timestamp(time_ms)}
        (answer,) = admin.list_offsets(spec, request_timeout=ATTEMPT_S).values()
        return int(answer.result().offset)

    found = call_with_retry(kafka, ask)
    return found if found >= 0 else end


def _delete(kafka: KafkaAccess, log: LogTopics, cuts: list[LogCut]) -> None:
    # Executions first: a command without its outcome is never missed, the reverse might be.
    for topic, offsets in (
        (EXECUTIONS, {cut.partition: cut.executions_cut for cut in cuts}),
        (COMMANDS, {cut.partition: cut.commands_cut for cut in cuts}),
    ):
        wanted = [
            TopicPartition(*log.partition(topic, number), offset)
            for number, offset in offsets.items()
        ]

        def delete(admin: AdminClient, wanted: list[TopicPartition] = wanted) -> None:
            for future in admin.delete_records(wanted, request_timeout=ATTEMPT_S).values():
                future.result()

        call_with_retry(kafka, delete)
