"""The outcomes right before a position of the executions, read backwards in portions.

Of several records with a command the one of the latest claim counts, and of those the first.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from confluent_kafka import Message

from schemas.codec import UnreadableError, decode_execution
from schemas.executions import Outcome, Outcomes, claim_offset
from services.runtime.kafka.consumer import LogConsumer, Partition
from services.runtime.kafka.execution_filter import FilterPosition

PORTION_RECORDS: Final = 1_000


def outcomes_before(
    consumer: LogConsumer,
    partition: Partition,
    at: FilterPosition,
    age_ms_max: int,
    outcomes_max: int,
) -> tuple[int, list[Outcome]]:
    """The command of the first one, and the outcomes in log order, without a gap up to the
    position. Raises UnavailableError, BrokenLogError."""
    low = consumer.range(partition).low
    # By command: the offset of the claim before it, and its outcome.
    found: dict[int, tuple[int, Outcome]] = {}
    end, newest = at.next_record, 0
    while end > low and len(found) < outcomes_max:
        start = max(low, end - PORTION_RECORDS)
        for claim, command, outcome in _backwards(consumer.read(partition, start, end)):
            known = found.get(command)
            # Of a matcher that was superseded come records of a lower claim, and further behind.
            if command < at.next_command and (known is None or known[0] <= claim):
                found[command] = claim, outcome
                newest = max(newest, outcome.time)
        end = start
        if found and found[min(found)][1].time < newest - age_ms_max:
            break
    first = at.next_command
    while first - 1 in found:
        first -= 1
    return first, [found[command][1] for command in range(first, at.next_command)]


def _backwards(messages: Iterable[Message]) -> Iterator[tuple[int, int, Outcome]]:
    """Offset of the claim, command and outcome, of the last record first."""
    for message in reversed(list(messages)):
        try:
            execution = decode_execution(message.value())
        except UnreadableError:
            continue
        if isinstance(execution, Outcomes):
            for command, outcome in enumerate(execution.outcomes, execution.first_offset):
                yield claim_offset(execution.epoch), command, outcome
