"""Which faults strike what and when, all of it decided before the first. Pure and seeded.

Targets come from a shuffled bag that is emptied before it is filled again, and so do the kinds of
each target: the first ten faults strike every target once, the first forty are all there is.
"""

import random
from collections.abc import Collection
from typing import Final, Literal, get_args

from msgspec import Struct

Program = Literal["gateway", "matcher", "sink", "postgres", "kafka"]
Link = Literal["gateway-kafka", "matcher-kafka", "sink-kafka", "gateway-postgres", "sink-postgres"]
ProgramFault = Literal["kill", "freeze", "stop", "restart_twice"]
LinkFault = Literal["cut", "stall", "slow", "cut_after"]
# Drawn only when asked for. fill_disk: Kafka's, which is then a small one of its own. usurp: the
# matcher is frozen, another one takes its partitions, and then it wakes up. What waited in its
# producer is then sent all the same, so public records may be there twice: a known limit.
ExtraFault = Literal["fill_disk", "usurp"]
FaultKind = ProgramFault | LinkFault | ExtraFault

PROGRAMS: Final[tuple[Program, ...]] = get_args(Program)
LINKS: Final[tuple[Link, ...]] = get_args(Link)
TARGETS: Final[tuple[str, ...]] = (*PROGRAMS, *LINKS)
PROGRAM_FAULTS: Final[tuple[ProgramFault, ...]] = get_args(ProgramFault)
LINK_FAULTS: Final[tuple[LinkFault, ...]] = get_args(LinkFault)
EXTRA_FAULTS: Final[tuple[ExtraFault, ...]] = get_args(ExtraFault)
_EXTRA_TARGETS: Final[dict[ExtraFault, Program]] = {"fill_disk": "kafka", "usurp": "matcher"}

HOLD_MS: Final = (1_000, 20_000)
# A process that is killed or stopped stays away for so long at most; half of them not at all.
AWAY_MS_MAX: Final = 5_000
# Between the two deaths of a quick restart: from its first instructions to just ready.
BETWEEN_DEATHS_MS: Final = (100, 2_500)
DELAY_MS: Final = (20, 400)
CUT_AFTER_BYTES: Final = (1, 60_000)
# One strike in so many hits two targets at once.
TOGETHER_ONE_IN: Final = 4


class Fault(Struct, frozen=True):
    """`hold_ms` from its beginning until it is healed.

    `detail`: milliseconds between two deaths (restart_twice) or of delay (slow); bytes
    (cut_after); 1 if the stalled connections are cut at the end (stall).
    """

    kind: FaultKind
    target: str
    hold_ms: int
    detail: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.target}, {self.hold_ms / 1000:.1f} s"


class Strike(Struct, frozen=True):
    """Faults that begin together. Later than `at_ms` when the strike before lasts longer."""

    at_ms: int
    faults: tuple[Fault, ...]


class ChaosPlan(Struct, frozen=True):
    """Strikes by time."""

    seed: int
    duration_s: int
    strikes: tuple[Strike, ...]


def chaos_plan(
    seed: int, duration_s: int, faults: int, also: Collection[ExtraFault] = ()
) -> ChaosPlan:
    """So many faults, spread over the time. Raises ValueError when there is nothing to do."""
    if min(duration_s, faults) < 1:
        raise ValueError("duration and faults must be at least 1")
    return _Draw(seed, duration_s, faults, also).plan()


class _Draw:
    def __init__(
        self, seed: int, duration_s: int, faults: int, also: Collection[ExtraFault]
    ) -> None:
        self._seed = seed
        self._duration_s = duration_s
        self._faults = faults
        self._also = also
        self._random = random.Random(seed)
        self._targets: list[str] = []
        self._kinds: dict[str, list[FaultKind]] = {}

    def plan(self) -> ChaosPlan:
        groups = self._groups()
        slot_ms = self._duration_s * 1000 // len(groups)
        hold_max = min(HOLD_MS[1], max(HOLD_MS[0], slot_ms))
        strikes = []
        for number, targets in enumerate(groups):
            at_ms = number * slot_ms + self._random.randint(0, slot_ms // 4)
            found = tuple(self._fault(target, hold_max) for target in targets)
            strikes.append(Strike(at_ms, found))
        return ChaosPlan(self._seed, self._duration_s, tuple(strikes))

    def _groups(self) -> list[list[str]]:
        groups: list[list[str]] = []
        left = self._faults
        while left:
            self._fill_targets()
            group = [self._targets.pop()]
            if left > 1 and self._random.randrange(TOGETHER_ONE_IN) == 0:
                # The end of one bag and the start of the next may be the same target.
                self._fill_targets()
                if self._targets[-1] != group[0]:
                    group.append(self._targets.pop())
            left -= len(group)
            groups.append(group)
        return groups

    def _fill_targets(self) -> None:
        if not self._targets:
            self._targets = self._random.sample(TARGETS, len(TARGETS))

    def _fault(self, target: str, hold_max: int) -> Fault:
        rng = self._random
        bag = self._kinds.setdefault(target, [])
        if not bag:
            kinds = self._kinds_for(target)
            bag.extend(rng.sample(kinds, len(kinds)))
        kind = bag.pop()
        hold_ms = rng.randint(HOLD_MS[0], hold_max)
        match kind:
            case "kill" | "stop":
                return Fault(kind, target, rng.choice((0, rng.randint(0, AWAY_MS_MAX))))
            case "restart_twice":
                return Fault(kind, target, 0, rng.randint(*BETWEEN_DEATHS_MS))
            case "stall":
                return Fault(kind, target, hold_ms, rng.randrange(2))
            case "slow":
                return Fault(kind, target, hold_ms, rng.randint(*DELAY_MS))
            case "cut_after":
                return Fault(kind, target, hold_ms, rng.randint(*CUT_AFTER_BYTES))
            case _:
                return Fault(kind, target, hold_ms)

    def _kinds_for(self, target: str) -> tuple[FaultKind, ...]:
        usual = PROGRAM_FAULTS if target in PROGRAMS else LINK_FAULTS
        return (*usual, *(kind for kind in self._also if _EXTRA_TARGETS[kind] == target))
