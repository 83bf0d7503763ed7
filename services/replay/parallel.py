"""Replays every partition of an exchange, each in a process, as many at a time as cores."""

import multiprocessing
import os
import signal
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from msgspec import structs

from services.replay.recompute import ReplaySummary
from services.replay.run import ReplayRequest, run_replay
from services.runtime.errors import UnavailableError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.progress import Progress
from services.runtime.settings import Settings


def run_all(settings: Settings, request: ReplayRequest, progress: Progress) -> list[ReplaySummary]:
    """Replay all partitions as the request says of its own, and return their summaries in order.

    Raises as `run_replay`; then the other processes are ended.
    """
    partitions = TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify().partitions
    requests = [structs.replace(request, partition=number) for number in range(partitions)]
    progress.begin("replay", partitions, "partitions")
    # `spawn`: a fork would copy the threads' locks of the Kafka client.
    processes = multiprocessing.get_context("spawn")
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(min(partitions, cores), processes, _end_on_interrupt) as pool:
        replays = [pool.submit(_replayed, settings, one) for one in requests]
        try:
            return _summaries(replays, progress)
        except BaseException:
            # The pool would wait until the running replays are done.
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _summaries(replays: list[Future[ReplaySummary]], progress: Progress) -> list[ReplaySummary]:
    try:
        for replay in as_completed(replays):
            replay.result()
            progress.advance(1)
    except BrokenProcessPool as error:
        raise UnavailableError(
            "a process of the replay was ended, perhaps for lack of memory; replay the partitions "
            "one by one with --partition"
        ) from error
    return [replay.result() for replay in replays]


def _end_on_interrupt() -> None:
    """Without a traceback: the main process reports the interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _replayed(settings: Settings, request: ReplayRequest) -> ReplaySummary:
    return run_replay(settings, request, Progress()).summary(verified=request.verify)
