"""Times at which requests are due: repeatable, of the right rate, with bursts and ramps."""

import random
from collections import Counter

import pytest

from loadgen.workload.arrivals import Bursts, Segment, Shape, arrivals, segments_of

SEED = 11
MINUTE_US = 60_000_000
RATE = 1_000 / 1_000_000


def times(shape: Shape, seed: int = SEED) -> list[float]:
    return list(arrivals(random.Random(seed), RATE, segments_of(shape, random.Random(seed))))


def test_arrivals_are_poisson_of_the_rate_and_repeat_with_the_seed() -> None:
    shape = Shape(MINUTE_US)
    found = times(shape)
    assert found == times(shape) != times(shape, SEED + 1)
    assert found == sorted(found)
    assert found[-1] < MINUTE_US
    per_second = Counter(int(at_us) // 1_000_000 for at_us in found)
    mean = len(found) / 60
    variance = sum((count - mean) ** 2 for count in per_second.values()) / 60
    assert mean == pytest.approx(1_000, rel=0.02)
    assert variance == pytest.approx(mean, rel=0.5)


def test_bursts_raise_the_rate_while_they_last_and_keep_the_mean() -> None:
    bursts = Bursts(every_ms=2_000, length_ms=200, rate_percent=400)
    shape = Shape(600_000_000, bursts=bursts)
    segments = segments_of(shape, random.Random(SEED))
    calm, burst = sorted({segment.factor for segment in segments})
    assert burst == pytest.approx(4 * calm)
    ends = [0.0, *(segment.end_us for segment in segments)]
    within = [
        end - start
        for start, end, segment in zip(ends, ends[1:], segments, strict=False)
        if segment.factor == burst
    ]
    assert max(within) == pytest.approx(200_000)
    assert len(within) == pytest.approx(300, rel=0.15)
    assert len(times(shape)) == pytest.approx(600_000, rel=0.03)


def test_ramp_starts_low_and_ends_at_the_full_rate() -> None:
    found = times(Shape(MINUTE_US, from_percent=20))
    per_second = Counter(int(at_us) // 1_000_000 for at_us in found)
    assert per_second[0] == pytest.approx(200, rel=0.3)
    assert per_second[59] == pytest.approx(1_000, rel=0.15)
    assert len(found) == pytest.approx(36_000, rel=0.03)


def test_arrivals_skip_a_segment_with_no_due_request() -> None:
    segments = [Segment(1_000_000, 1.0), Segment(2_000_000, 0.0), Segment(3_000_000, 1.0)]
    found = list(arrivals(random.Random(SEED), RATE, segments))
    assert not [at_us for at_us in found if 1_000_000 < at_us < 2_000_000]
    assert len(found) == pytest.approx(2_000, rel=0.1)
