"""Replays every partition of an exchange, each in a process, as many at a time as cores."""

from functools import partial

from msgspec import structs

from services.replay.recompute import ReplaySummary
from services.replay.run import ReplayRequest, run_replay
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.processes import Advance, run_in_processes
from services.runtime.progress import Progress
from services.runtime.settings import Settings


def run_all(settings: Settings, request: ReplayRequest, progress: Progress) -> list[ReplaySummary]:
    """Replay all partitions with the options of the request; return their summaries in order.

    Raises as `run_replay`; then the other processes are ended.
    """
    partitions = TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify().partitions
    requests = [structs.replace(request, partition=number) for number in range(partitions)]
    progress.begin("replay", partitions, "partitions")
    remedy = "replay the partitions one by one with --partition"
    return run_in_processes(partial(_replayed, settings), requests, progress.advance, remedy)


def _replayed(settings: Settings, request: ReplayRequest, advance: Advance) -> ReplaySummary:
    summary = run_replay(settings, request, Progress()).summary(verified=request.verify)
    advance(1)
    return summary
