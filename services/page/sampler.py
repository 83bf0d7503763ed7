"""Figures of the last ten minutes, one sample a second, from counters of this process."""

import asyncio
import math
import resource
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge

from schemas.executions import OrderAccepted, OrderCancelled
from schemas.operations import OperationsSample, ProcessState, StreamsState
from services.reader.views import Views
from services.runtime.clock import now_ms
from services.runtime.kafka.execution_filter import Batch
from services.runtime.metrics import (
    CONNECTIONS,
    HTTP_SECONDS,
    ORDERS_IN_MEMORY,
    STREAM_BYTES,
    STREAM_CONFLATED,
    STREAM_SUBSCRIPTIONS,
    STREAMS,
    STREAMS_CUT,
)

SAMPLES_MAX: Final = 600
# Answer times and ages are those of so many seconds.
WINDOW_S: Final = 10
# The loop is asked this often whether it is on time.
_BEAT_S: Final = 0.1
_BEATS: Final = 10
_PAGE_BYTES: Final = resource.getpagesize()
_ANSWERED: Final = ("200", "201", "202")


class SecondSamples:
    """Counts batches as they are applied, and takes a sample each second. On the loop's thread."""

    def __init__(self) -> None:
        self.samples: deque[OperationsSample] = deque(maxlen=SAMPLES_MAX)
        self._commands = self._orders = self._cancels = self._trades = 0
        self._stream_bytes = _value(STREAM_BYTES)
        # By second, number of outcomes by age in milliseconds.
        self._ages: deque[Tally[int]] = deque([Tally()], maxlen=WINDOW_S)
        self._buckets: deque[dict[float, float]] = deque(maxlen=WINDOW_S)
        self._cpu_s = time.process_time()
        self._cpu_at_s = time.monotonic()
        self._cpu_percent = 0.0

    def apply(self, batch: Batch) -> None:
        """Count a batch of outcomes."""
        self._commands += len(batch.outcomes)
        for steps in batch.steps:
            for step, trades in steps:
                self._orders += type(step) is OrderAccepted
                self._cancels += type(step) is OrderCancelled
                self._trades += len(trades)
        # The oldest one stands for its batch, which was one round of the matcher.
        self._ages[-1][max(0, now_ms() - batch.outcomes[0].time)] += len(batch.outcomes)

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            delay_s = 0.0
            for _ in range(_BEATS):
                due_s = time.monotonic() + _BEAT_S
                await asyncio.sleep(_BEAT_S)
                delay_s = max(delay_s, time.monotonic() - due_s)
            self.take(delay_s)

    def take(self, delay_s: float) -> None:
        """Add the sample of the second that ends now. `delay_s`: how late the loop was."""
        now = _bucket_counts()
        before = self._buckets[0] if self._buckets else now
        self._buckets.append(now)
        counts = {bound: count - before.get(bound, 0.0) for bound, count in now.items()}
        stream_bytes = _value(STREAM_BYTES)
        ages = sum(self._ages, Tally[int]())
        self.samples.append(
            OperationsSample(
                time=now_ms(),
                commands=self._commands,
                orders=self._orders,
                cancels=self._cancels,
                trades=self._trades,
                post_p50_ms=quantile_ms(counts, 0.5),
                post_p99_ms=quantile_ms(counts, 0.99),
                post_p999_ms=quantile_ms(counts, 0.999),
                outcome_age_ms=max(self._ages[-1], default=None),
                outcome_age_p50_ms=age_ms(ages, 0.5),
                outcome_age_p99_ms=age_ms(ages, 0.99),
                loop_delay_ms=round(delay_s * 1000, 1),
                streams=int(_value(STREAMS)),
                stream_bytes=int(stream_bytes - self._stream_bytes),
            )
        )
        self._commands = self._orders = self._cancels = self._trades = 0
        self._stream_bytes = stream_bytes
        self._ages.append(Tally())
        self._note_cpu()

    def _note_cpu(self) -> None:
        cpu_s, at_s = time.process_time(), time.monotonic()
        if at_s > self._cpu_at_s:
            share = (cpu_s - self._cpu_s) / (at_s - self._cpu_at_s)
            self._cpu_percent = round(100 * share, 1)
        self._cpu_s, self._cpu_at_s = cpu_s, at_s

    def process(self, views: Views) -> ProcessState:
        """The state of this process, whose views these are, now."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return ProcessState(
            resident_bytes=pages * _PAGE_BYTES,
            cpu_percent=self._cpu_percent,
            symbols=views.symbols(),
            open_orders=views.open_orders(),
            orders_in_memory=int(_value(ORDERS_IN_MEMORY)),
            http_connections=int(_value(CONNECTIONS)),
        )


def streams() -> StreamsState:
    """The live connections of this process now."""
    return StreamsState(
        subscriptions=int(_value(STREAM_SUBSCRIPTIONS)),
        conflated=int(_value(STREAM_CONFLATED)),
        cut=int(_value(STREAMS_CUT)),
    )


def age_ms(ages: Mapping[int, int], share: float) -> int | None:
    """The lowest age that so large a share of all outcomes does not exceed. None: no outcome.

    `ages`: number of outcomes by age in milliseconds.
    """
    left = math.ceil(share * sum(ages.values()))
    for age, count in sorted(ages.items()):
        left -= count
        if left <= 0:
            return age
    return None


def quantile_ms(counts: dict[float, float], share: float) -> float | None:
    """The upper bound, in milliseconds, of the bucket that this share of all answers reaches.

    `counts` are cumulative, by upper bound in seconds. None without an answer; beyond the highest
    bound it is that bound.
    """
    total = counts.get(math.inf, 0.0)
    if total <= 0:
        return None
    finite = sorted(bound for bound in counts if bound != math.inf)
    for bound in finite:
        if counts[bound] >= share * total:
            return bound * 1000
    return finite[-1] * 1000


def _bucket_counts() -> dict[float, float]:
    # Of answers to orders that were not refused.
    counts: dict[float, float] = {}
    for status in _ANSWERED:
        for metric in HTTP_SECONDS.labels("/orders", "POST", status).collect():
            for sample in metric.samples:
                if "le" in sample.labels:
                    bound = float(sample.labels["le"])
                    counts[bound] = counts.get(bound, 0.0) + sample.value
    return counts


def _value(figure: Gauge | Counter) -> float:
    # Of all labels together; none was set yet: 0. A counter has the time of its start as well.
    return float(
        sum(
            sample.value
            for metric in figure.collect()
            for sample in metric.samples
            if not sample.name.endswith("_created")
        )
    )
