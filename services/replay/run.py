"""Reads a partition's commands, and its executions for verification, into a `Recomputation`.

Only reads: no producer, no claim. The end of both logs is fixed at the start, commands first, so a
running exchange can be replayed; memory holds the engine and a few fetches.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import islice, takewhile

from msgspec import Struct

from schemas.topics import COMMANDS, EXECUTIONS, SNAPSHOTS, Topic
from services.matcher.engine import Engine
from services.matcher.recovery import LogTopics, Recovered, commits_of, recover
from services.replay.command_log import commands as command_records
from services.replay.recompute import Recomputation, command_of
from services.replay.recorded import recorded_outcomes
from services.runtime.errors import SettingsError, UnavailableError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.execution_filter import FilterPosition
from services.runtime.kafka.log_reader import LogReader, Record
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.progress import Progress
from services.runtime.settings import Settings

# Commands between two updates of the progress display.
CHUNK_COMMANDS = 1_000


class ReplayRequest(Struct, frozen=True):
    """Range and kind of a replay; both bounds are exclusive, and at most one of them is given."""

    partition: int
    until_offset: int | None = None
    until_ms: int | None = None
    verify: bool = False
    from_snapshot: bool = False


def run_replay(settings: Settings, request: ReplayRequest, progress: Progress) -> Recomputation:
    """Run a replay. Raises UnavailableError if a log cannot be read from the replay's beginning."""
    partitions = TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify().partitions
    number = request.partition
    if not 0 <= number < partitions:
        raise SettingsError(f"partition {number}: the exchange has 0-{partitions - 1}")
    with ExitStack() as closes:
        commands = _reader(settings, COMMANDS, number, closes)
        executions = _reader(settings, EXECUTIONS, number, closes)
        begun, digests = _beginning(settings, request, executions.end)
        _require_held(commands, COMMANDS, begun.position.next_command)
        if request.until_offset is not None:
            commands.end = min(commands.end, request.until_offset)
        recorded = None
        if request.verify:
            # From the first claim on, because claims decide which records count.
            _require_held(executions, EXECUTIONS, begun.position.next_record)
            recorded = recorded_outcomes(executions, number, begun.position)
        replay = Recomputation(begun.engine, begun.position.next_command)
        records = _until(command_records(commands, replay.next_offset), request.until_ms)
        progress.begin("replay", commands.end, "commands")
        progress.update(replay.next_offset)
        while chunk := list(islice(records, CHUNK_COMMANDS)):
            for record in chunk:
                outcome = replay.apply(record.offset, record.timestamp, command_of(record.value))
                if recorded is not None:
                    replay.compare(outcome, next(recorded, None))
                for digest in digests.get(replay.next_offset, ()):
                    replay.compare_digest(digest)
            progress.update(replay.next_offset, total=commands.end)
    return replay


def _beginning(
    settings: Settings, request: ReplayRequest, executions_end: int
) -> tuple[Recovered, dict[int, list[str]]]:
    """The starting state, and the snapshots' digests by the command they precede."""
    number = request.partition
    kafka = kafka_access(settings)
    log = LogTopics(settings.topic_prefix, log_identity(kafka, settings.topic_prefix).topic_id)
    digests: dict[int, list[str]] = {}
    begun = Recovered(Engine(number), FilterPosition())
    with closing(LogConsumer(kafka, Fetch(wait_ms=10))) as consumer:
        if request.from_snapshot:
            begun = recover(consumer, log, number, executions_end)
        if request.verify:
            for _, commit in commits_of(consumer, log.partition(SNAPSHOTS, number)):
                if (commit.log, commit.partition) == (log.topic_id, number):
                    digests.setdefault(commit.next_command, []).append(commit.digest)
    return begun, digests


def _reader(settings: Settings, topic: Topic, number: int, closes: ExitStack) -> LogReader:
    partition = Partition(topic.full_name(settings.topic_prefix), number)
    return closes.enter_context(closing(LogReader(kafka_access(settings), partition)))


def _require_held(reader: LogReader, topic: Topic, first: int) -> None:
    if reader.low > first:
        raise UnavailableError(
            f"the beginning of {topic.name} is gone: it starts at {reader.low}, "
            f"the replay at {first}; replay a trimmed log with --from-snapshot"
        )


def _until(records: Iterator[Record], until_ms: int | None) -> Iterator[Record]:
    if until_ms is None:
        return records
    return takewhile(lambda record: record.timestamp < until_ms, records)
