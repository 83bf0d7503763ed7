"""Plan of a chaos run: kind, target and time of every fault, drawn from a seed. Pure.

Targets are drawn without replacement until each was drawn once, then again from all of them; the
fault kinds of a target likewise. So no target or kind is left out by chance.
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
# Kafka's topics, on which a program that is not part of the exchange writes.
Topics = Literal["topics"]
ProgramFault = Literal["kill", "freeze", "stop", "restart_twice"]
LinkFault = Literal["cut", "stall", "slow", "cut_after"]
# The wall clock jumps while a program runs, or is wrong from its start.
ClockFault = Literal["clock_jump", "clock_wrong_start"]
# Records of the exchange are repeated, records are written that no service can read, and
# transactions are committed, aborted and left open.
TopicFault = Literal["repeat_records", "unreadable_records", "transactions"]
# Drawn only on request. fill_disk: fills Kafka's disk, which is then a small tmpfs. supersede:
# freezes the matcher, lets another one claim its partitions, then resumes it. Records still in its
# producer are then sent, so public records may be duplicated: a known limit.
ExtraFault = Literal["fill_disk", "supersede"]
FaultKind = ProgramFault | LinkFault | ClockFault | TopicFault | ExtraFault

PROGRAMS: Final[tuple[Program, ...]] = get_args(Program)
LINKS: Final[tuple[Link, ...]] = get_args(Link)
TOPICS: Final[tuple[Topics, ...]] = get_args(Topics)
TARGETS: Final[tuple[str, ...]] = (*PROGRAMS, *LINKS, *TOPICS)
PROGRAM_FAULTS: Final[tuple[ProgramFault, ...]] = get_args(ProgramFault)
LINK_FAULTS: Final[tuple[LinkFault, ...]] = get_args(LinkFault)
CLOCK_FAULTS: Final[tuple[ClockFault, ...]] = get_args(ClockFault)
TOPIC_FAULTS: Final[tuple[TopicFault, ...]] = get_args(TopicFault)
EXTRA_FAULTS: Final[tuple[ExtraFault, ...]] = get_args(ExtraFault)
DEFAULT_FAULTS: Final[tuple[FaultKind, ...]] = (
    *PROGRAM_FAULTS,
    *LINK_FAULTS,
    *CLOCK_FAULTS,
    *TOPIC_FAULTS,
)
# Not the others: sink and reader use the clock for durations and display only. The webhook sender
# signs the time, and receivers rightly reject a signature that is a day old.
CLOCKS: Final[tuple[Program, ...]] = ("gateway", "matcher", "kafka")
_ONLY_ON: Final[dict[FaultKind, tuple[Program, ...]]] = {
    "clock_jump": CLOCKS,
    "clock_wrong_start": CLOCKS,
    "fill_disk": ("kafka",),
    "supersede": ("matcher",),
}

# Duration of a fault: from a short hiccup to beyond the timeouts of clients and services.
HOLD_MS: Final = (1_000, 20_000)
# Longest time before a killed or stopped process is restarted; half of them restart at once.
AWAY_MS_MAX: Final = 5_000
# Time between the two kills of restart_twice: from the first instructions to just ready.
BETWEEN_KILLS_MS: Final = (100, 2_500)
DELAY_MS: Final = (20, 400)
CUT_AFTER_BYTES: Final = (1, 60_000)
# Error of a service's clock, in both directions: no service may depend on it.
CLOCK_JUMP_MS: Final = 86_400_000
# Error of Kafka's clock, which is the market's; in the engine it never goes back. After a jump
# ahead the market's time stops until the clock has caught up; behind, orders expire late.
KAFKA_AHEAD_MS: Final = (100, 400)
KAFKA_BEHIND_MS: Final = (1_000, 5_000)
# One fault group in so many has two targets at once.
TWO_TARGETS_ONE_IN: Final = 4


class Fault(Struct, frozen=True):
    """A fault of one target; `hold_ms`: time from its beginning until it is healed.

    `detail`: milliseconds between two kills (restart_twice) or of delay (slow); bytes
    (cut_after); 1 if the stalled connections are cut at the end (stall); clock error in
    milliseconds (clock_jump, clock_wrong_start); seed of the records on the topics.
    """

    kind: FaultKind
    target: str
    hold_ms: int
    detail: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.target}, {self.hold_ms / 1000:.1f} s"


class FaultGroup(Struct, frozen=True):
    """Faults that begin together, at `at_ms` or when the previous group is healed if later."""

    at_ms: int
    faults: tuple[Fault, ...]


class FaultSelection(Struct, frozen=True):
    """Kinds and targets to draw from. Without `targets`: all that one of the kinds applies to."""

    kinds: tuple[FaultKind, ...] = DEFAULT_FAULTS
    targets: tuple[str, ...] = ()
    one_by_one: bool = False

    def kinds_by_target(self) -> dict[str, tuple[FaultKind, ...]]:
        """The kinds of each target. Raises ValueError if a named target or kind has no use."""
        named = self.targets or TARGETS
        found = {t: tuple(k for k in self.kinds if k in _kinds_on(t)) for t in named}
        idle = [target for target, kinds in found.items() if not kinds]
        if self.targets and idle:
            raise ValueError(f"none of {', '.join(self.kinds)} applies to {', '.join(idle)}")
        used = {kind for kinds in found.values() for kind in kinds}
        if self.targets and (unused := [kind for kind in self.kinds if kind not in used]):
            raise ValueError(f"{', '.join(unused)} applies to none of {', '.join(self.targets)}")
        return {target: kinds for target, kinds in found.items() if kinds}


class ChaosPlan(Struct, frozen=True):
    """Fault groups in order of time.

    `one_by_one`: each begins as soon as the exchange has recovered from the one before; `at_ms` is
    not used.
    """

    seed: int
    duration_s: int
    groups: tuple[FaultGroup, ...]
    one_by_one: bool = False
    selection: FaultSelection | None = None

    @property
    def faults(self) -> list[Fault]:
        """The faults of all groups."""
        return [fault for group in self.groups for fault in group.faults]

    @property
    def command(self) -> str:
        """The command that runs this plan again; empty for a plan that was not drawn."""
        if self.selection is None:
            return ""
        words = ["python -m tests.chaos", f"--seed {self.seed}", f"--duration {self.duration_s}"]
        words.append(f"--faults {len(self.faults)}")
        if self.selection.kinds != DEFAULT_FAULTS:
            words.append(f"--kinds {','.join(self.selection.kinds)}")
        if self.selection.targets:
            words.append(f"--targets {','.join(self.selection.targets)}")
        if self.one_by_one:
            words.append("--one-by-one")
        return " ".join(words)


def _kinds_on(target: str) -> tuple[FaultKind, ...]:
    usual: tuple[FaultKind, ...] = LINK_FAULTS
    if target in PROGRAMS:
        usual = PROGRAM_FAULTS
    elif target in TOPICS:
        usual = TOPIC_FAULTS
    return (*usual, *(kind for kind, only in _ONLY_ON.items() if target in only))


def chaos_plan(
    seed: int, duration_s: int, faults: int, selection: FaultSelection | None = None
) -> ChaosPlan:
    """A plan of `faults` faults, spread over the duration.

    Raises ValueError if there are none, or if `selection` names a target or kind without use.
    """
    if min(duration_s, faults) < 1:
        raise ValueError("duration and faults must be at least 1")
    return _PlanGenerator(seed, duration_s, faults, selection or FaultSelection()).plan()


class _PlanGenerator:
    def __init__(self, seed: int, duration_s: int, faults: int, selection: FaultSelection) -> None:
        self._seed = seed
        self._duration_s = duration_s
        self._faults = faults
        self._selection = selection
        self._one_by_one = selection.one_by_one
        self._kinds_by_target = selection.kinds_by_target()
        self._random = random.Random(seed)
        # Targets, and kinds of each target, that are still to be drawn in this round.
        self._targets: list[str] = []
        self._kinds: dict[str, list[FaultKind]] = {}

    def plan(self) -> ChaosPlan:
        target_groups = self._target_groups()
        slot_ms = 0 if self._one_by_one else self._duration_s * 1000 // len(target_groups)
        hold_ms_max = min(HOLD_MS[1], max(HOLD_MS[0], slot_ms))
        groups = []
        for number, targets in enumerate(target_groups):
            at_ms = number * slot_ms + self._random.randint(0, slot_ms // 4)
            found = tuple(self._fault(target, hold_ms_max) for target in targets)
            groups.append(FaultGroup(at_ms, found))
        return ChaosPlan(
            self._seed, self._duration_s, tuple(groups), self._one_by_one, self._selection
        )

    def _target_groups(self) -> list[list[str]]:
        groups: list[list[str]] = []
        left = self._faults
        while left:
            self._fill_targets()
            group = [self._targets.pop()]
            if left > 1 and not self._one_by_one and not self._random.randrange(TWO_TARGETS_ONE_IN):
                # The last target of one round and the first of the next may be the same.
                self._fill_targets()
                if self._targets[-1] != group[0]:
                    group.append(self._targets.pop())
            left -= len(group)
            groups.append(group)
        return groups

    def _fill_targets(self) -> None:
        if not self._targets:
            targets = list(self._kinds_by_target)
            self._targets = self._random.sample(targets, len(targets))

    def _fault(self, target: str, hold_ms_max: int) -> Fault:
        rng = self._random
        left = self._kinds.setdefault(target, [])
        if not left:
            kinds = self._kinds_by_target[target]
            left.extend(rng.sample(kinds, len(kinds)))
        kind = left.pop()
        hold_ms = rng.randint(HOLD_MS[0], hold_ms_max)
        if kind in ("kill", "stop"):
            hold_ms = rng.choice((0, rng.randint(0, min(AWAY_MS_MAX, hold_ms_max))))
        elif kind == "restart_twice":
            hold_ms = 0
        return Fault(kind, target, hold_ms, self._detail(kind, target))

    def _detail(self, kind: FaultKind, target: str) -> int:
        rng = self._random
        found = 0
        match kind:
            case "restart_twice":
                found = rng.randint(*BETWEEN_KILLS_MS)
            case "stall":
                found = rng.randrange(2)
            case "slow":
                found = rng.randint(*DELAY_MS)
            case "cut_after":
                found = rng.randint(*CUT_AFTER_BYTES)
            case "clock_jump" | "clock_wrong_start":
                found = self._clock_error_ms(target)
            case "repeat_records" | "unreadable_records" | "transactions":
                found = rng.getrandbits(16)
        return found

    def _clock_error_ms(self, target: str) -> int:
        rng = self._random
        if target == "kafka":
            return rng.choice((rng.randint(*KAFKA_AHEAD_MS), -rng.randint(*KAFKA_BEHIND_MS)))
        return rng.choice((-CLOCK_JUMP_MS, CLOCK_JUMP_MS))
