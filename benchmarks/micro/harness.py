"""Repetition and timing. The points of a benchmark take turns within every repeat, so that other
load on the machine affects all of them equally.

The garbage collector is on with the services' thresholds; it collects before each repeat.
"""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from msgspec import Struct

from benchmarks.micro.report import Figure, figure
from schemas.topology import Durability
from services.runtime.lifecycle import COLLECT_AFTER

GC_STATE = f"on, thresholds {COLLECT_AFTER} as in the services, collected before a repeat"


class Measurement(NamedTuple):
    """One value of one series; a unit that ends in `/s` means that more is better."""

    series: str
    value: float
    unit: str


class CurvePoint(Struct, frozen=True):
    """One point: its `x` on the curve (None without a curve) and a function that measures once."""

    x: int | None
    measure: Callable[[], Iterable[Measurement]]


class Benchmark(Struct, frozen=True):
    """Points that are measured in turns. `x` names what grows; empty when there is no curve."""

    points: Sequence[CurvePoint]
    x: str = ""


class Scale(Struct, frozen=True):
    """The amount of work to measure.

    `sizes`: the curves' points; `operations`: approximate number timed at once; `flow_s`: seconds
    of a market with 2,000 orders a second; `rates` per second, each for `rate_s` seconds.
    """

    name: str
    repeats: int
    sizes: tuple[int, ...]
    operations: int
    flow_s: int
    rates: tuple[int, ...]
    rate_s: float
    modes: tuple[Durability, ...]

    def up_to(self, most: int) -> tuple[int, ...]:
        """The points of a curve that ends at this value."""
        return tuple(size for size in self.sizes if size <= most)


FULL = Scale(
    name="full",
    repeats=7,
    sizes=(1, 10, 100, 1_000, 10_000, 100_000),
    operations=4_000,
    flow_s=20,
    rates=(100, 700, 2_500),
    rate_s=4.0,
    modes=("process", "fsync", "replicated"),
)
QUICK = Scale(
    name="quick",
    repeats=3,
    sizes=(1, 10, 100, 1_000, 10_000),
    operations=1_000,
    flow_s=4,
    rates=(100, 700),
    rate_s=1.5,
    modes=("process", "fsync"),
)


def run(benchmark: Benchmark, repeats: int, show: Callable[[str], None]) -> Iterator[list[Figure]]:
    """Yield all figures after every repeat, so that an interrupted run keeps its results."""
    samples: dict[tuple[str, str, int | None], list[float]] = {}
    for repeat in range(repeats):
        for number, point in enumerate(benchmark.points):
            at = "" if point.x is None else f", {point.x:,} {benchmark.x}"
            show(f"repeat {repeat + 1}/{repeats}, {number + 1}/{len(benchmark.points)}{at}")
            gc.collect()
            for series, value, unit in point.measure():
                samples.setdefault((series, unit, point.x), []).append(value)
        yield [
            figure(series, unit, x, found)
            for (series, unit, x), found in sorted(samples.items(), key=_in_order(samples))
        ]


def _in_order(
    samples: dict[tuple[str, str, int | None], list[float]],
) -> Callable[[tuple[tuple[str, str, int | None], list[float]]], tuple[int, int]]:
    """Figures by series in order of first appearance, then along the curve."""
    first: dict[tuple[str, str], int] = {}
    for series, unit, _ in samples:
        first.setdefault((series, unit), len(first))
    return lambda item: (first[item[0][:2]], item[0][2] or 0)


def ns_each(work: Callable[[], object], operations: int) -> float:
    """Nanoseconds per operation of a call that performs the given number of operations."""
    start_ns = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start_ns) / operations


@contextmanager
def with_service_gc() -> Iterator[None]:
    """Set the garbage collector as the services do, until the context ends.

    If objects were frozen before, they and all others stay frozen afterwards.
    """
    former, unfrozen = gc.get_threshold(), gc.get_freeze_count() == 0
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*former)
        if unfrozen:
            gc.unfreeze()
