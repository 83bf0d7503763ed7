"""Durations for which commands have waited at a stage, from its positions over time. Pure."""

from collections import deque
from typing import Final

from msgspec import Struct

from schemas.operations import MatcherClaim, PartitionState

# Older waits are said to be at least as long as this.
KEPT_S: Final = 3600.0
_MARKS_MAX: Final = 3600


class _Mark(Struct, frozen=True):
    at_s: float
    position: int


class Reached:
    """The moments at which a position of a log was seen to have grown."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque(maxlen=_MARKS_MAX)

    def note(self, position: int, now_s: float) -> None:
        """Note a position; a lower one than before begins anew: it is another log."""
        if self._marks and position < self._marks[-1].position:
            self._marks.clear()
        if not self._marks or position > self._marks[-1].position:
            self._marks.append(_Mark(now_s, position))
        while len(self._marks) > 1 and now_s - self._marks[0].at_s > KEPT_S:
            self._marks.popleft()

    def waiting_s(self, behind: int, now_s: float) -> float:
        """For how long a follower at the position `behind` has lacked a record that was there."""
        for mark in self._marks:
            if mark.position > behind:
                return max(0.0, now_s - mark.at_s)
        return 0.0


class PartitionPositions:
    """The positions of one partition over time."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._ends = Reached()
        self._applied = Reached()
        self._end: int | None = None
        self._stored: int | None = None

    def apply(self, applied: int, now_s: float) -> None:
        """Note the first command whose outcome is not in the views yet."""
        self._applied.note(applied, now_s)

    def ask(self, end: int | None, stored: int | None, now_s: float) -> None:
        """Note the end of the commands and the first one not stored; None: not known now."""
        if end is not None:
            self._ends.note(end, now_s)
        self._end, self._stored = end, stored

    def state(
        self, applied: int, now_s: float, claim: MatcherClaim | None = None
    ) -> PartitionState:
        """All positions now, with the waits that follow from them; and whose claim it is."""
        # The end was read a moment ago, and more may have been applied since.
        end = None if self._end is None else max(self._end, applied)
        stored = None if self._stored is None else min(self._stored, applied)
        waiting = None if end is None else end - applied
        unstored = None if stored is None else applied - stored
        return PartitionState(
            partition=self._partition,
            end=end,
            applied=applied,
            stored=stored,
            waiting=waiting,
            waiting_s=round(self._ends.waiting_s(applied, now_s), 1) if waiting else 0.0,
            unstored=unstored,
            unstored_s=round(self._applied.waiting_s(stored or 0, now_s), 1) if unstored else 0.0,
            claim=claim,
        )
