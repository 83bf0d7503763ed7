"""Which faults strike what and when, all of it decided before the first. Pure and seeded.

Targets come from a shuffled bag that is emptied before it is filled again, and so do the kinds of
each target: every target is struck once before one is struck again, and by every kind in turn.
"""

import random
from typing import Final, Literal, get_args

from msgspec import Struct

Program = Literal["gateway", "reader", "matcher", "sink", "webhooks", "postgres", "kafka"]
Link = Literal[
    "gateway-kafka",
    "reader-kafka",
    "matcher-kafka",
    "sink-kafka",
    "gateway-postgres",
    "reader-postgres",
    "sink-postgres",
    "webhooks-postgres",
    "webhooks-receivers",
]
ProgramFault = Literal["kill", "freeze", "stop", "restart_twice"]
LinkFault = Literal["cut", "stall", "slow", "cut_after"]
# A wall clock goes wrong while a program runs, or is wrong when it starts.
ClockFault = Literal["clock_jump", "clock_wrong_start"]
# Drawn only when asked for. fill_disk: Kafka's, which is then a small one of its own. usurp: the
# matcher is frozen, another one takes its partitions, and then it wakes up. What waited in its
# producer is then sent all the same, so public records may be there twice: a known limit.
ExtraFault = Literal["fill_disk", "usurp"]
FaultKind = ProgramFault | LinkFault | ClockFault | ExtraFault

PROGRAMS: Final[tuple[Program, ...]] = get_args(Program)
LINKS: Final[tuple[Link, ...]] = get_args(Link)
TARGETS: Final[tuple[str, ...]] = (*PROGRAMS, *LINKS)
PROGRAM_FAULTS: Final[tuple[ProgramFault, ...]] = get_args(ProgramFault)
LINK_FAULTS: Final[tuple[LinkFault, ...]] = get_args(LinkFault)
CLOCK_FAULTS: Final[tuple[ClockFault, ...]] = get_args(ClockFault)
EXTRA_FAULTS: Final[tuple[ExtraFault, ...]] = get_args(ExtraFault)
USUAL_FAULTS: Final[tuple[FaultKind, ...]] = (*PROGRAM_FAULTS, *LINK_FAULTS, *CLOCK_FAULTS)
# The sink only measures with its clock, and a reader alone only says what time it is. A sender
# signs the time: receivers are right to refuse what is a day old.
CLOCKS: Final[tuple[Program, ...]] = ("gateway", "matcher")
_ONLY_ON: Final[dict[FaultKind, tuple[Program, ...]]] = {
    "clock_jump": CLOCKS,
    "clock_wrong_start": CLOCKS,
    "fill_disk": ("kafka",),
    "usurp": ("matcher",),
}

HOLD_MS: Final = (1_000, 20_000)
# A process that is killed or stopped stays away for so long at most; half of them not at all.
AWAY_MS_MAX: Final = 5_000
# Between the two deaths of a quick restart: from its first instructions to just ready.
BETWEEN_DEATHS_MS: Final = (100, 2_500)
DELAY_MS: Final = (20, 400)
CUT_AFTER_BYTES: Final = (1, 60_000)
CLOCK_JUMP_MS: Final = 86_400_000
# One strike in so many hits two targets at once.
TOGETHER_ONE_IN: Final = 4


class Fault(Struct, frozen=True):
    """`hold_ms` from its beginning until it is healed.

    `detail`: milliseconds between two deaths (restart_twice) or of delay (slow); bytes
    (cut_after); 1 if the stalled connections are cut at the end (stall); milliseconds that the
    clock is wrong by (clock_jump, clock_wrong_start).
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
    """Strikes by time; `one_by_one`: each as soon as the one before is recovered, by no time."""

    seed: int
    duration_s: int
    strikes: tuple[Strike, ...]
    one_by_one: bool = False


class Choice(Struct, frozen=True):
    """What is drawn from. Without `targets`: everything that one of the kinds can strike."""

    kinds: tuple[FaultKind, ...] = USUAL_FAULTS
    targets: tuple[str, ...] = ()
    one_by_one: bool = False

    def bags(self) -> dict[str, tuple[FaultKind, ...]]:
        """Each target's kinds. Raises ValueError when a target or a kind has nothing to do."""
        named = self.targets or TARGETS
        found = {t: tuple(k for k in self.kinds if k in _kinds_on(t)) for t in named}
        idle = [target for target, kinds in found.items() if not kinds]
        if self.targets and idle:
            raise ValueError(f"none of {', '.join(self.kinds)} strikes {', '.join(idle)}")
        used = {kind for kinds in found.values() for kind in kinds}
        if self.targets and (vain := [kind for kind in self.kinds if kind not in used]):
            raise ValueError(f"{', '.join(vain)} strikes none of {', '.join(self.targets)}")
        return {target: kinds for target, kinds in found.items() if kinds}


def _kinds_on(target: str) -> tuple[FaultKind, ...]:
    usual = PROGRAM_FAULTS if target in PROGRAMS else LINK_FAULTS
    return (*usual, *(kind for kind, only in _ONLY_ON.items() if target in only))


def chaos_plan(seed: int, duration_s: int, faults: int, choice: Choice | None = None) -> ChaosPlan:
    """So many faults, spread over the time. Raises ValueError when there is nothing to do."""
    if min(duration_s, faults) < 1:
        raise ValueError("duration and faults must be at least 1")
    return _Draw(seed, duration_s, faults, choice or Choice()).plan()


class _Draw:
    def __init__(self, seed: int, duration_s: int, faults: int, choice: Choice) -> None:
        self._seed = seed
        self._duration_s = duration_s
        self._faults = faults
        self._one_by_one = choice.one_by_one
        self._bags = choice.bags()
        self._random = random.Random(seed)
        self._targets: list[str] = []
        self._kinds: dict[str, list[FaultKind]] = {}

    def plan(self) -> ChaosPlan:
        groups = self._groups()
        slot_ms = 0 if self._one_by_one else self._duration_s * 1000 // len(groups)
        hold_max = min(HOLD_MS[1], max(HOLD_MS[0], slot_ms))
        strikes = []
        for number, targets in enumerate(groups):
            at_ms = number * slot_ms + self._random.randint(0, slot_ms // 4)
            found = tuple(self._fault(target, hold_max) for target in targets)
            strikes.append(Strike(at_ms, found))
        return ChaosPlan(self._seed, self._duration_s, tuple(strikes), self._one_by_one)

    def _groups(self) -> list[list[str]]:
        groups: list[list[str]] = []
        left = self._faults
        while left:
            self._fill_targets()
            group = [self._targets.pop()]
            if left > 1 and not self._one_by_one and not self._random.randrange(TOGETHER_ONE_IN):
                # The end of one bag and the start of the next may be the same target.
                self._fill_targets()
                if self._targets[-1] != group[0]:
                    group.append(self._targets.pop())
            left -= len(group)
            groups.append(group)
        return groups

    def _fill_targets(self) -> None:
        if not self._targets:
            self._targets = self._random.sample(list(self._bags), len(self._bags))

    def _fault(self, target: str, hold_max: int) -> Fault:
        rng = self._random
        bag = self._kinds.setdefault(target, [])
        if not bag:
            bag.extend(rng.sample(self._bags[target], len(self._bags[target])))
        kind = bag.pop()
        hold_ms = rng.randint(HOLD_MS[0], hold_max)
        if kind in ("kill", "stop"):
            hold_ms = rng.choice((0, rng.randint(0, min(AWAY_MS_MAX, hold_max))))
        elif kind == "restart_twice":
            hold_ms = 0
        return Fault(kind, target, hold_ms, self._detail(kind))

    def _detail(self, kind: FaultKind) -> int:
        rng = self._random
        match kind:
            case "restart_twice":
                return rng.randint(*BETWEEN_DEATHS_MS)
            case "stall":
                return rng.randrange(2)
            case "slow":
                return rng.randint(*DELAY_MS)
            case "cut_after":
                return rng.randint(*CUT_AFTER_BYTES)
            case "clock_jump" | "clock_wrong_start":
                return rng.choice((-CLOCK_JUMP_MS, CLOCK_JUMP_MS))
            case _:
                return 0
