"""Which scale to try next, to find the largest that is carried. Pure.

Up by half until a step does not hold, then between the last good and the first bad one until they
are near. The best has to hold once more. Any step that does not hold is tried once more before that
is believed: a machine that stood still for a moment says nothing about what it carries.
"""

from math import sqrt
from typing import Final

UP: Final = 1.5
DOWN: Final = 2.0
# Nearer than this, two steps are told apart by chance.
NEAR: Final = 1.11
# Below this share of B3 the answer is that nothing is carried.
SCALE_LEAST: Final = 0.5


class Search:
    """Ask for `next`, try it, tell by `tried`; until `next` is None. `found`: the answer."""

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
        """Whether what is next was tried already."""
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
        """How `next` went."""
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
    """To three figures: as exact as anybody can say it."""
    return float(f"{scale:.3g}")
