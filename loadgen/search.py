"""Chooses the next scale of the search for the largest one that is carried. Pure.

Scales grow by half until a step fails, then halve the interval between the last success and the
first failure until it is small. The best scale has to hold once more. A failed step is repeated
once, because a machine that stalls for a moment says nothing about its capacity.
"""

from math import sqrt
from typing import Final

# Ratios of two steps while the search goes up, and while it goes down.
UP: Final = 1.5
DOWN: Final = 2.0
# Below this relative distance two steps differ only by chance.
NEAR: Final = 1.11
# Below this share of B3 the result is that nothing is carried.
SCALE_LEAST: Final = 0.5


class Search:
    """Try `next` and report the result by `tried`, until `next` is None. `found`: the result."""

    def __init__(self, start: float, most: float) -> None:
        self._start = min(start, most)
        self._most = most
        self._good: list[float] = []
        self._bad: float | None = None
        self._doubted: float | None = None
        self._failed_before: set[float] = set()
        self.found: float | None = None

    @property
    def repeats(self) -> bool:
        """True if the next scale was tried before."""
        return self.next in (*self._good, self._doubted)

    @property
    def next(self) -> float | None:
        """The scale to try; None when the search is over."""
        if self.found is not None:
            return None
        if self._doubted is not None:
            return self._doubted
        if not self._good:
            if self._bad is None:
                return self._start
            return lower if (lower := _rounded(self._bad / DOWN)) >= SCALE_LEAST else None
        best = max(self._good)
        if self._bad is None:
            return min(self._most, _rounded(best * UP))
        between = _rounded(sqrt(best * self._bad))
        return best if self._bad / best <= NEAR or between in (best, self._bad) else between

    def tried(self, scale: float, *, held: bool) -> None:
        """Record the result of `next`."""
        self._doubted = None
        if held and scale in self._good:
            self.found = scale
        elif held:
            self._good.append(scale)
        elif scale in self._failed_before:
            self._bad = scale
            self._good = [each for each in self._good if each < scale]
        else:
            self._failed_before.add(scale)
            self._doubted = scale


def _rounded(scale: float) -> float:
    """Round to three digits, which is as exact as the measurement."""
    return float(f"{scale:.3g}")
