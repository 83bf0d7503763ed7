"""One sending process: receives a part of a plan, waits for the start, reports its progress.

It only sends, so that watching and drawing cannot delay requests.
"""

import asyncio
import contextlib
import gc
import signal
import time
from multiprocessing.connection import Connection
from typing import Final, NamedTuple

import msgspec
import uvloop

from loadgen.client.client import Job, LoadClient
from loadgen.client.record import RecordBatch
from loadgen.workload.orderflow import Plan

# Records per message: it fits into a pipe, so that writing does not wait for the reader.
REPORT_INTERVAL_S: Final = 0.1


class WorkerReport(NamedTuple):
    """Progress: `sent` and `cpu_s` since the start; `batch`: records since the last message."""

    sent: int
    cpu_s: float
    batch: RecordBatch


def work(job: Job, raw_plan: bytes, pipe: Connection) -> None:
    """Entry point: sends None when ready, receives the start, sends progress until all is done."""
    plan = msgspec.json.decode(raw_plan, type=Plan)
    # The plan lives as long as the process, so garbage collections can skip it.
    gc.freeze()
    # The parent process has ended, so the results are of no use.
    with contextlib.suppress(BrokenPipeError, EOFError, ConnectionResetError):
        uvloop.run(_work(LoadClient(job, plan), pipe))


async def _work(client: LoadClient, pipe: Connection) -> None:
    await client.open()
    pipe.send(None)
    start: float = pipe.recv()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, client.stop)
    cpu_before = time.process_time()
    running = asyncio.create_task(client.run(start))
    sent_records = 0
    try:
        while True:
            ended, _ = await asyncio.wait({running}, timeout=REPORT_INTERVAL_S)
            batch = client.records.batch(sent_records)
            sent_records = len(client.records)
            pipe.send(WorkerReport(client.sent, time.process_time() - cpu_before, batch))
            if ended:
                break
    finally:
        client.stop()
        await running
