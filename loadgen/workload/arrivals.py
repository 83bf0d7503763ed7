"""Arrival times of requests: a Poisson process whose rate has bursts and may grow. Pure and seeded.

Bursts begin at random and keep the mean rate; a ramp lowers it. Both only stretch time: the random
arrivals stay the same.
"""

import random
from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct

# A ramp is climbed in steps of this length.
STEP_US: Final = 100_000


class Bursts(Struct, frozen=True, forbid_unknown_fields=True):
    """Bursts every `every_ms` on average, for `length_ms`, at this percentage of the calm rate."""

    every_ms: Annotated[int, Meta(ge=1)]
    length_ms: Annotated[int, Meta(ge=1)]
    rate_percent: Annotated[int, Meta(ge=1)]


class Shape(Struct, frozen=True):
    """The rate over time: it begins at `from_percent` of the full rate and ends at the full one."""

    duration_us: int
    from_percent: int = 100
    bursts: Bursts | None = None


class Segment(Struct, frozen=True):
    """Until `end_us` the rate is `factor` times the given one."""

    end_us: float
    factor: float


def arrivals(rng: random.Random, rate_per_us: float, segments: list[Segment]) -> Iterator[float]:
    """Rising times in microseconds, one draw of `rng` for each, until the segments end."""
    at_us = 0.0
    left_us = rng.expovariate(rate_per_us)
    for segment in segments:
        while left_us <= (segment.end_us - at_us) * segment.factor:
            at_us += left_us / segment.factor
            if at_us >= segment.end_us:
                break
            yield at_us
            left_us = rng.expovariate(rate_per_us)
        left_us -= max(0.0, segment.end_us - at_us) * segment.factor
        at_us = max(at_us, segment.end_us)


def segments_of(shape: Shape, rng: random.Random) -> list[Segment]:
    """Segments of constant rate. `rng` places the bursts."""
    if shape.bursts is None:
        stretches, calm, rise = [(float(shape.duration_us), False)], 1.0, 1.0
    else:
        rise = shape.bursts.rate_percent / 100
        calm = 1 / (1 + shape.bursts.length_ms / shape.bursts.every_ms * (rise - 1))
        stretches = list(_stretches(shape.duration_us, shape.bursts, rng))
    found: list[Segment] = []
    at_us = 0.0
    for end_us, within in stretches:
        factor = calm * (rise if within else 1.0)
        while at_us < end_us:
            # Without a ramp the rate is constant within a segment.
            step_us = STEP_US if shape.from_percent != 100 else end_us  # noqa: PLR2004
            until_us = min(end_us, at_us + step_us)
            found.append(Segment(until_us, factor * _height(shape, (at_us + until_us) / 2)))
            at_us = until_us
    return found


def _stretches(
    duration_us: int, bursts: Bursts, rng: random.Random
) -> Iterator[tuple[float, bool]]:
    """Calm and burst segments in turn, each with its end and whether it is a burst."""
    length_us = bursts.length_ms * 1_000
    calm_us = max(1, bursts.every_ms * 1_000 - length_us)
    at_us = 0.0
    while at_us < duration_us:
        at_us += rng.expovariate(1 / calm_us)
        yield min(at_us, duration_us), False
        at_us += length_us
        yield min(at_us, duration_us), True


def _height(shape: Shape, at_us: float) -> float:
    start = shape.from_percent / 100
    return start + (1 - start) * at_us / shape.duration_us
