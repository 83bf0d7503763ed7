"""Benchmark of a gateway without requests: outcomes through all its parts that read them.

The records are decoded and dropped one by one, as when they come from Kafka: the views and the
feeds keep what a gateway keeps while PostgreSQL is `STORED_BEHIND` commands behind it.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from benchmarks.micro.edge import ADMIN_KEY, NoArchive
from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement, Scale
from benchmarks.micro.outcomes import follow, outcomes_of, records
from schemas.units import TIMESTAMP_MS_MAX
from services.api.brokers import BrokerDirectory
from services.feeds.hub import FeedHub
from services.feeds.own_feed import OwnFeed
from services.feeds.raw_feed import RawFeed
from services.ingest.waiters import Waiters
from services.page.sampler import SecondSamples
from services.reader.app import Reader
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch

BATCHES: Final = (1, 4, 100)
STORED_BEHIND: Final = 3_000
# Commands between two flushes of the feeds, at the orders a second of B3.
FLUSHED: Final = 130


class IdleGateway:
    """The parts of a gateway that read outcomes, in its order. Call it on the running loop."""

    def __init__(self) -> None:
        directory = BrokerDirectory(ADMIN_KEY)
        self._views = Views()
        self._reader = Reader(self._views, NoArchive(), directory, lambda: True, lambda _: 0)
        own = OwnFeed(lambda: self._views)
        self._hub = FeedHub(lambda: self._views, lambda: True, own, 1)
        raw = RawFeed(self._hub)
        waiters = Waiters(asyncio.get_running_loop())
        self._readers = (
            self._reader.apply,
            own.on_batch,
            waiters.resolve,
            SecondSamples().apply,
            raw.on_batch,
        )
        self._flushed = 0

    async def apply(self, batch: Batch) -> None:
        """Apply a batch, and sometimes forget and flush as the service does."""
        for read in self._readers:
            read(batch)
        if batch.first_command >= self._flushed + FLUSHED:
            self._flushed = batch.first_command
            stored = batch.first_command - STORED_BEHIND
            while self._views.forget_stored(0, stored, TIMESTAMP_MS_MAX):
                pass
            await self._hub.flush()


def applying(scale: Scale) -> Benchmark:
    """CPU of an outcome in a gateway without requests, from the bytes of its record."""
    outcomes = outcomes_of(scale)

    def measure(size: int) -> Iterable[Measurement]:
        ns = asyncio.run(_apply(records(outcomes, size))) / len(outcomes)
        yield Measurement("apply", ns, "ns/outcome")

    return Benchmark([CurvePoint(s, partial(measure, s)) for s in BATCHES], "outcomes a record")


async def _apply(values: Sequence[bytes]) -> int:
    gateway = IdleGateway()
    start_ns = time.process_time_ns()
    for batch in follow(values):
        await gateway.apply(batch)
    return time.process_time_ns() - start_ns
