"""Finds a reader's place in the executions when it starts, by the command that comes next.

Executions are not flushed: a power cut can take their newest records, and a stored position then
points behind the end, or between records that were written since. So:

1. A position is valid while the record before it that counted is still there (`evidence`): nothing
   before that record has changed, since a cut takes only a tail.
2. Otherwise the reader starts at a record of a claimed epoch that does not begin behind its next
   command. The filter leaves out the outcomes that it has already applied.

The commands are flushed, so the outcomes that were lost are computed again from them, the same.
"""

from collections.abc import Iterator

from msgspec import Struct

from schemas.codec import UnreadableError, decode_execution
from schemas.executions import Execution, Outcomes, claim_offset, epoch_of
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.execution_filter import NO_EPOCH, ExecutionFilter, FilterPosition
from services.runtime.kafka.reading import Reading
from services.runtime.kafka.records import record_offset
from services.runtime.kafka.unreadable import log_unreadable

# Records of one read on the way back: the first finds the evidence of an unchanged log.
_PORTION = 50
_PORTION_MAX = 5_000


class NoPlaceError(Exception):
    """The log does not lead to a position: it is of another log, or was trimmed away.

    The text follows "has stored".
    """


class Evidence(Struct, frozen=True):
    """The newest record before a position that counts in its epoch.

    `next_command`: the command behind its outcomes; None for the claim itself.
    """

    record: int
    next_command: int | None


def evidence(logs: Reading, executions: Partition, at: FilterPosition) -> Evidence | None:
    """The record that shows that the log still leads to the position; None if it does not.

    Its outcomes may end before the position's command, and never behind it.
    """
    held = logs.range(executions)
    if at.epoch == NO_EPOCH or at.next_record > held.end:
        return None
    low = max(held.low, claim_offset(at.epoch))
    for record, execution in _backwards(logs, executions, low, at.next_record):
        if not isinstance(execution, Outcomes):
            return Evidence(record, None) if epoch_of(execution, record) == at.epoch else None
        if execution.epoch == at.epoch:
            if execution.next_command > at.next_command or not _holds(logs, executions, at.epoch):
                return None
            return Evidence(record, execution.next_command)
    return None


def _holds(logs: Reading, executions: Partition, epoch: int) -> bool:
    """False if the claim of an epoch was lost: later records of its matcher do not count."""
    claim = claim_offset(epoch)
    if claim < logs.range(executions).low:
        return True
    return any(
        not isinstance(execution, Outcomes) and epoch_of(execution, record) == epoch
        for record, execution in _backwards(logs, executions, claim, claim + 1)
    )


def placed(
    logs: Reading, executions: Partition, commands: Partition, at: FilterPosition
) -> FilterPosition:
    """The position from which the executions continue with the command of `at`.

    It may be in an earlier epoch, or before outcomes of earlier commands, but loses none. Raises
    NoPlaceError.
    """
    if not at.next_command or evidence(logs, executions, at) is not None:
        return at
    held = logs.range(executions)
    if held.low == at.next_record:
        # What showed it was trimmed; a version that flushed executions cut right before it.
        return at
    if (end := logs.range(commands).end) < at.next_command:
        raise NoPlaceError(
            f"partition {commands.number} up to record {at.next_record}, before command "
            f"{at.next_command}, but {commands.topic} ends at {end}"
        )
    # Of each epoch the newest record before the last claim met that does not begin too late.
    starts: dict[int, int] = {}
    trimmed = False
    for record, execution in _backwards(logs, executions, held.low, held.end):
        if isinstance(execution, Outcomes):
            trimmed = trimmed or claim_offset(execution.epoch) < held.low
            if execution.first_offset <= at.next_command:
                starts.setdefault(execution.epoch, record)
            continue
        epoch = epoch_of(execution, record)
        if epoch in starts:
            return FilterPosition(starts[epoch], epoch, at.next_command)
        starts.clear()
    # Of a superseded matcher come records with an earlier claim.
    of_trimmed_claims = [epoch for epoch in starts if claim_offset(epoch) < held.low]
    if of_trimmed_claims:
        epoch = max(of_trimmed_claims, key=claim_offset)
        return FilterPosition(starts[epoch], epoch, at.next_command)
    if trimmed:
        raise NoPlaceError(
            f"partition {executions.number} up to record {at.next_record}, before command "
            f"{at.next_command}, but {executions.topic} was trimmed behind its outcome, to record "
            f"{held.low}"
        )
    return FilterPosition(held.low, NO_EPOCH, at.next_command)


def leads_to(logs: Reading, executions: Partition, at: FilterPosition, end: int) -> bool:
    """True if the log before the record `end` holds the outcomes of all commands before `at`.

    `at` may lie before the last of them, as the position of a snapshot does.
    """
    found = evidence(logs, executions, at)
    if found is None:
        return logs.range(executions).low == at.next_record
    if found.next_command is None:
        # Only the claim was found. Records between it and the position may have replaced lost
        # outcomes. Versions without a nonce lose none, because they flushed executions.
        return found.record + 1 == at.next_record or claim_offset(at.epoch) == at.epoch
    if found.next_command == at.next_command:
        return True
    start = FilterPosition(at.next_record, at.epoch, found.next_command)
    execution_filter = ExecutionFilter({executions.number: start}, log_unreadable)
    for message in logs.read(executions, at.next_record, end):
        execution_filter.accept(executions.number, record_offset(message), message.value())
        if execution_filter.position(executions.number).next_command >= at.next_command:
            return True
    return False


def _backwards(
    logs: Reading, executions: Partition, low: int, end: int
) -> Iterator[tuple[int, Execution]]:
    """The records that can be decoded, from the one before `end` down to `low`."""
    portion = _PORTION
    while end > low:
        start = max(low, end - portion)
        for message in reversed(list(logs.read(executions, start, end))):
            try:
                yield record_offset(message), decode_execution(message.value())
            except UnreadableError:
                continue
        end, portion = start, min(2 * portion, _PORTION_MAX)
