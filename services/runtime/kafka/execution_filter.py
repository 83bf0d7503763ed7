"""Decides which execution records count; the only implementation, for all their readers.

1. A claim sets the current epoch, which is its nonce and its offset.
2. A record of outcomes counts iff its epoch is the current one. Outcomes of commands that were
   seen before are left out as repeats: they are duplicates, or a power cut took the log's tail and
   a matcher publishes it again to a reader that had already stored it.
3. A record of another epoch comes from a stale matcher: dropped. A gap is a bug: BrokenLogError.
4. A record that cannot be decoded, or has no value, comes from a foreign program: reported and
   dropped. If it was a matcher's outcome, the next one shows the gap. A claim that cannot be
   decoded comes from a newer version: BrokenLogError.
5. If a trimmed log has lost a claim (`beginnings`), the first outcomes of its epoch replace it. No
   request waits yet when they are read, so a stale matcher's records answer none.

Pure: offsets and bytes in, batches out. Positions are values, so a reader can store and resume;
after a restart `execution_place` finds them in the log.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct, structs

from schemas.codec import UnreadableError, decode_execution, is_claim
from schemas.executions import (
    RULES_LEVEL,
    TRIMMED_LEVEL,
    Claim,
    LevelClaim,
    Outcome,
    Outcomes,
    claim_offset,
    epoch_of,
)
from schemas.outcome_steps import Steps, steps_of
from services.runtime.errors import BrokenLogError

NO_EPOCH = -1
_NO_BEGINNINGS: Mapping[int, int] = MappingProxyType({})


class FilterPosition(Struct, frozen=True):
    """Position of a reader in one executions partition.

    `next_record`: offset in executions to read next. `next_command`: offset of the first command
    whose outcome was not seen yet. `epoch`: the current one, NO_EPOCH before any claim.
    """

    next_record: int = 0
    epoch: int = NO_EPOCH
    next_command: int = 0


class Batch(Struct, frozen=True, dict=True):
    """Outcomes that count; the nth belongs to the command at `first_command + n`."""

    partition: int
    first_command: int
    outcomes: tuple[Outcome, ...]

    @property
    def steps(self) -> tuple[Steps, ...]:
        """The steps of each outcome, computed once for all parts of a process that read them."""
        # The lock of a cached_property would take longer than the steps of one outcome.
        known: dict[str, tuple[Steps, ...]] = vars(self)
        if not known:
            known["steps"] = tuple(map(steps_of, self.outcomes))
        return known["steps"]

    def singly(self) -> "Iterator[Batch]":
        """A batch for each of its outcomes."""
        for command, outcome in enumerate(self.outcomes, self.first_command):
            yield Batch(self.partition, command, (outcome,))


# Receives partition, record and reason of a record that cannot be decoded.
OnUnreadable = Callable[[int, int, str], None]


def _refuse(partition: int, record: int, reason: str) -> None:
    raise BrokenLogError(f"executions {partition}@{record}: {reason}")


class ExecutionFilter:
    """Applies the rule to any number of partitions. Services pass `log_unreadable`; by default a
    record that cannot be decoded raises BrokenLogError."""

    def __init__(
        self,
        positions: Mapping[int, FilterPosition],
        on_unreadable: OnUnreadable = _refuse,
        beginnings: Mapping[int, int] = _NO_BEGINNINGS,
    ) -> None:
        """`beginnings`: the first record of partitions that are read from a lost beginning on."""
        self._positions = dict(positions)
        self._on_unreadable = on_unreadable
        self._beginnings = beginnings
        lost = (number for number, low in beginnings.items() if low)
        self._levels = dict.fromkeys(lost, TRIMMED_LEVEL)
        self._claims: dict[int, tuple[str, int]] = {}

    def rules_level(self, partition: int) -> int:
        """The level of the rules that the partition's last claim names; 0 if none was seen."""
        return self._levels.get(partition, 0)

    def claim(self, partition: int) -> tuple[str, int] | None:
        """Name of the matcher that claimed the current epoch, and the offset of its claim.

        None: no claim was seen, or the log was trimmed past it.
        """
        claim = self._claims.get(partition)
        if claim is None or claim[1] != claim_offset(self._positions[partition].epoch):
            return None
        return claim

    def position(self, partition: int) -> FilterPosition:
        """The position behind the last record that was examined."""
        return self._positions[partition]

    def accept(self, partition: int, record: int, value: bytes | None) -> Batch | None:
        """The batch in the record at offset `record`; None if it does not count."""
        at = self._positions[partition]
        if record < at.next_record:
            return None
        try:
            execution = decode_execution(value)
        except UnreadableError as error:
            if is_claim(value):
                # Of a newer version: outcomes of an epoch that this program does not know follow.
                _refuse(partition, record, str(error))
            self._on_unreadable(partition, record, str(error))
            self._positions[partition] = structs.replace(at, next_record=record + 1)
            return None
        if not isinstance(execution, Outcomes):
            self._claimed(partition, record, execution)
            epoch = epoch_of(execution, record)
            self._positions[partition] = FilterPosition(record + 1, epoch, at.next_command)
            return None
        return self._judge(partition, record, execution)

    def claim_before(self, partition: int, value: bytes | None) -> None:
        """Take the level from the claim of the position's epoch, which lies before the position.

        None: the log was trimmed past it. Raises BrokenLogError if it needs a newer version.
        """
        if value is None:
            self._levels[partition] = TRIMMED_LEVEL
            return
        try:
            claim = decode_execution(value)
        except UnreadableError as error:
            _refuse(partition, claim_offset(self._positions[partition].epoch), str(error))
            return
        if not isinstance(claim, Outcomes):
            self._claimed(partition, claim_offset(self._positions[partition].epoch), claim)

    def _claimed(self, partition: int, record: int, claim: Claim | LevelClaim) -> None:
        level = claim.level if isinstance(claim, LevelClaim) else 1
        if level > RULES_LEVEL:
            raise BrokenLogError(
                f"executions {partition}@{record}: matcher {claim.matcher} follows rules of level "
                f"{level}, this program only up to {RULES_LEVEL}: start a newer version"
            )
        self._levels[partition] = level
        self._claims[partition] = claim.matcher, record

    def _judge(self, partition: int, record: int, told: Outcomes) -> Batch | None:
        at = self._positions[partition]
        if told.epoch != at.epoch and self._begins_epoch(partition, at.epoch, told.epoch):
            at = FilterPosition(record, told.epoch, told.first_offset)
        if told.epoch != at.epoch or told.next_command <= at.next_command:
            self._positions[partition] = structs.replace(at, next_record=record + 1)
            return None
        if told.first_offset > at.next_command:
            raise BrokenLogError(
                f"executions {partition}@{record}: outcomes from command {told.first_offset} on, "
                f"expected {at.next_command}"
            )
        self._positions[partition] = FilterPosition(record + 1, at.epoch, told.next_command)
        if told.first_offset == at.next_command:
            return Batch(partition, told.first_offset, told.outcomes)
        unseen = told.outcomes[at.next_command - told.first_offset :]
        return Batch(partition, at.next_command, unseen)

    def _begins_epoch(self, partition: int, current: int, told: int) -> bool:
        """True if these outcomes replace the claim of their epoch, which the log has lost."""
        if claim_offset(told) >= self._beginnings.get(partition, 0):
            return False
        return current == NO_EPOCH or claim_offset(current) < claim_offset(told)
