"""Names the stage of the pipeline that is behind, in words. Pure."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from schemas.operations import CheckState, PartitionState, Stage

# Below this a stage is at work, not behind: a batch or a round takes as long.
BEHIND_S: Final = 3.0
_ALL_KEEP_UP = "All stages keep up."


class Verdict(Struct, frozen=True):
    """The stage that is behind, None if all keep up; and the sentence about it."""

    behind: Stage | None
    sentence: str


def verdict(
    partitions: Sequence[PartitionState], checks: Sequence[CheckState], stored_known: bool
) -> Verdict:
    """The first stage, in the order of the pipeline, that is not what it should be."""
    for check in checks:
        if not check.ok and check.name not in _HELPERS:
            return Verdict("gateway", f"The gateway is not ready: {check.name}: {check.detail}.")
    if any(each.end is None for each in partitions):
        return Verdict("log", "Kafka does not answer: the end of the command log is not known.")
    return (
        _waiting(partitions)
        or _storing(partitions, stored_known)
        or _helpers(checks)
        or Verdict(None, _ALL_KEEP_UP)
    )


# Parts of the pipeline that `exchange run` reports as down: orders are served without them.
_HELPERS: Final = frozenset({"sink", "webhooks", "PostgreSQL"})


def _waiting(partitions: Sequence[PartitionState]) -> Verdict | None:
    late = [each for each in partitions if each.waiting_s >= BEHIND_S]
    if not late:
        return None
    worst = max(late, key=lambda each: each.waiting_s)
    commands = sum(each.waiting or 0 for each in late)
    return Verdict(
        "matcher",
        f"The matcher is behind: {_count(commands, 'command')} on {_places(late)} "
        f"{_wait(commands)} for an outcome, the oldest for {_seconds(worst.waiting_s)}.",
    )


def _storing(partitions: Sequence[PartitionState], stored_known: bool) -> Verdict | None:
    if not stored_known:
        return Verdict("database", "PostgreSQL does not answer; orders are matched without it.")
    late = [each for each in partitions if each.unstored_s >= BEHIND_S]
    if not late:
        return None
    worst = max(late, key=lambda each: each.unstored_s)
    commands = sum(each.unstored or 0 for each in late)
    return Verdict(
        "sink",
        f"The sink is behind: {_count(commands, 'outcome')} of {_places(late)} "
        f"{_wait(commands)} to be stored, the oldest for {_seconds(worst.unstored_s)}.",
    )


def _helpers(checks: Sequence[CheckState]) -> Verdict | None:
    down = [check for check in checks if not check.ok]
    if not down:
        return None
    names = ", ".join(f"{check.name} ({check.detail})" for check in down)
    return Verdict("helper", f"Down, while orders are served: {names}.")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"


def _places(late: Sequence[PartitionState]) -> str:
    numbers = [str(each.partition) for each in late]
    return f"partition{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
