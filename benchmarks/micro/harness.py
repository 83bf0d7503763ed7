"""Repeats and times. The points of a benchmark take turns within every repeat, so that whatever
else the machine does meanwhile falls on all of them.

The garbage collector is on and looks as seldom as in the services; it collects before each repeat.
"""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from msgspec import Struct

from benchmarks.micro.report import Figure, figure
from schemas.topology import Durability
from services.runtime.lifecycle import COLLECT_AFTER_OBJECTS

GC_STATE = f"on, threshold {COLLECT_AFTER_OBJECTS:,} as in the services, collected before a repeat"


class Reading(NamedTuple):
    """One value of one series; the unit ends in `/s` where more is better."""

    series: str
    value: float
    unit: str


class Point(Struct, frozen=True):
    """Where on the curve, None without one, and how it is measured once."""

    x: int | None
    measure: Callable[[], Iterable[Reading]]


class Benchmark(Struct, frozen=True):
    """Points that are measured in turns. `x` says what grows; empty: nothing does."""

    points: Sequence[Point]
    x: str = ""


class Scale(Struct, frozen=True):
    """How much is measured.

    `sizes`: the curves' places; `operations`: timed at once, about; `flow_s`: of a market with
    2,000 orders a second; `rates` a second, each for `rate_s`.
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
        """The places of a curve that ends there."""
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


def run(benchmark: Benchmark, repeats: int, tell: Callable[[str], None]) -> Iterator[list[Figure]]:
    """After every repeat, all figures so far, so that an interrupted run keeps what it has."""
    samples: dict[tuple[str, str, int | None], list[float]] = {}
    for repeat in range(repeats):
        for number, point in enumerate(benchmark.points):
            at = "" if point.x is None else f", {point.x:,} {benchmark.x}"
            tell(f"repeat {repeat + 1}/{repeats}, {number + 1}/{len(benchmark.points)}{at}")
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
    """By series as they first came, then along the curve."""
    first: dict[tuple[str, str], int] = {}
    for series, unit, _ in samples:
        first.setdefault((series, unit), len(first))
    return lambda item: (first[item[0][:2]], item[0][2] or 0)


def ns_each(work: Callable[[], object], operations: int) -> float:
    """Nanoseconds per operation of a call that does so many."""
    start_ns = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start_ns) / operations


@contextmanager
def as_in_the_services() -> Iterator[None]:
    """The collector as the services set it, until the end."""
    former = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*former)
        gc.unfreeze()
