"""A seeded market that goes on between the pages of a query."""

import random

from msgspec import structs

from loadgen.workload.orderflow import Profile
from schemas.executions import OrderAccepted, Outcome
from services.runtime.kafka.execution_filter import Batch
from tests.support.market import batches, outcomes
from tests.support.reader_api import ReaderApi

PROFILE = Profile(duration_s=4, symbols=2, brokers=3, cancel_age_ms_mean=800)


def slowed(flow: list[Outcome], times: int) -> list[Outcome]:
    """The same outcomes with that many times the time between them."""
    begun = flow[0].time
    return [structs.replace(one, time=begun + (one.time - begun) * times) for one in flow]


class GrowingMarket:
    """Two partitions of a seeded flow, of which the reader and PostgreSQL have applied a part.

    `slower`: so many times the time between two outcomes.
    """

    def __init__(self, seed: int, slower: int = 1) -> None:
        self.random = random.Random(seed)
        flows = [
            batches(partition, slowed(list(outcomes(partition, seed, PROFILE)), slower), size=7)
            for partition in (0, 1)
        ]
        self._applied: list[Batch] = []
        self._left = [list(reversed(flow)) for flow in flows]
        self._unstored: list[list[Batch]] = [[], []]
        self.brokers = sorted(
            {
                o.event.broker_id
                for flow in flows
                for b in flow
                for o in b.outcomes
                if isinstance(o.event, OrderAccepted)
            }
        )
        self.api = ReaderApi(self.brokers)

    def step(self, count: int = 12) -> None:
        """Apply some batches, store some of these, perhaps forget what is stored."""
        for _ in range(count):
            partition = self.random.randrange(2)
            if self._left[partition]:
                applied = self._left[partition].pop()
                self.api.reader.apply(applied)
                self._applied.append(applied)
                self._unstored[partition].append(applied)
            self._store(self.random.randrange(2))
        if self.random.random() < 0.5:
            self.api.forget()

    def _store(self, partition: int) -> None:
        while self._unstored[partition] and self.random.random() < 0.6:
            self.api.stored.store(self._unstored[partition].pop(0))

    def store_all(self) -> None:
        for partition in (0, 1):
            for each in self._unstored[partition]:
                self.api.stored.store(each)
            self._unstored[partition].clear()

    def follow(self, other: "GrowingMarket") -> None:
        """Store everything that the other market's reader has applied."""
        for each in other._applied[len(self._applied) :]:
            self.api.stored.store(each)
            self._applied.append(each)
