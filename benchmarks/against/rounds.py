"""Measures two checkouts in turns; every round begins with the other one of the two."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.against.checkout import Checkout
from benchmarks.against.kinds import KindOptions, Measure
from benchmarks.against.rows import Figures, Row
from services.runtime.progress import Progress

NAMES = ("this", "other")


def run_rounds(
    sides: tuple[Checkout, Checkout],
    kinds: Sequence[tuple[str, Measure]],
    options: KindOptions,
    progress: Progress,
    *,
    count: int,
    folder: Path,
) -> Iterator[tuple[Figures, Figures]]:
    """Yield the figures (this, other) of each round when it is complete. Raises CheckoutError."""
    progress.begin("against", count * len(kinds) * len(sides))
    done = 0
    for number in range(count):
        found: tuple[dict[Row, float], dict[Row, float]] = ({}, {})
        for kind, measure in kinds:
            # A machine that slows down over time must not favour the one that is always first.
            for side in (0, 1) if number % 2 == 0 else (1, 0):
                progress.update(done, f"round {number + 1}, {kind}, {NAMES[side]}")
                place = folder / f"round-{number + 1}-{kind}-{NAMES[side]}"
                place.mkdir()
                found[side].update(measure(sides[side], options, place))
                done += 1
        yield found
