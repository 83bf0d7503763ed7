"""Reads a partition's commands, and to verify its executions beside them, into a `Replay`.

Reads only: no producer, no claim. The end of both logs is fixed at the start, commands first, so a
running exchange can be replayed; memory holds the engine and a few fetches.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import islice, takewhile

from msgspec import Struct

from schemas.executions import Outcome
from schemas.topics import COMMANDS, EXECUTIONS, Topic
from services.cli.log_reader import LogReader, Record
from services.cli.replay_compute import Replay
from services.cli.replay_progress import Advance
from services.runtime.consumer import Partition
from services.runtime.errors import SettingsError, UnavailableError
from services.runtime.follower import Follower, FollowerPosition
from services.runtime.settings import Settings
from services.runtime.topics import TopicsAdmin

# Commands between two calls of `advance`.
CHUNK_COMMANDS = 1_000


class ReplayRequest(Struct, frozen=True):
    """What to replay; both bounds are exclusive, and at most one of them is given."""

    partition: int
    until_offset: int | None = None
    until_ms: int | None = None
    verify: bool = False


def run_replay(settings: Settings, request: ReplayRequest, advance: Advance) -> Replay:
    """Raises UnavailableError when a log cannot be read from its beginning."""
    partitions = TopicsAdmin(settings.kafka, settings.topic_prefix).verify().partitions
    if not 0 <= request.partition < partitions:
        raise SettingsError(f"partition {request.partition}: the exchange has 0-{partitions - 1}")
    replay = Replay(request.partition)
    with ExitStack() as closes:
        commands = _whole(settings, COMMANDS, request.partition, closes)
        if request.until_offset is not None:
            commands.end = min(commands.end, request.until_offset)
        told = None
        if request.verify:
            executions = _whole(settings, EXECUTIONS, request.partition, closes)
            told = _outcomes(executions, request.partition)
        records = _until(commands.records(), request.until_ms)
        while chunk := list(islice(records, CHUNK_COMMANDS)):
            for record in chunk:
                outcome = replay.apply(record.offset, record.timestamp, record.value)
                if told is not None:
                    replay.compare(outcome, next(told, None))
            advance(replay.next_offset, commands.end)
    return replay


def _whole(settings: Settings, topic: Topic, number: int, closes: ExitStack) -> LogReader:
    partition = Partition(settings.topic_prefix + topic.name, number)
    reader = closes.enter_context(closing(LogReader(settings.kafka, partition)))
    # Executions too: without the claims of the beginning nobody knows which records count.
    if reader.low > 0:
        raise UnavailableError(
            f"the beginning of {partition.topic}/{number} is gone: it starts at {reader.low}"
        )
    return reader


def _until(records: Iterator[Record], until_ms: int | None) -> Iterator[Record]:
    if until_ms is None:
        return records
    return takewhile(lambda record: record.timestamp < until_ms, records)


def _outcomes(reader: LogReader, number: int) -> Iterator[Outcome]:
    """The recorded outcomes that count, in the order of the commands."""
    follower = Follower({number: FollowerPosition()})
    for record in reader.records():
        batch = follower.follow(number, record.offset, record.value)
        if batch is not None:
            yield from batch.outcomes
