"""Counts the own events of a log up to a stored position, where PostgreSQL lacks their numbers."""

import logging
from collections.abc import Iterable

from confluent_kafka import Message

from schemas.outcome_steps import steps_of
from schemas.own_events import own_events_of
from services.runtime.errors import UnavailableError
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition
from services.runtime.kafka.records import record_offset
from services.runtime.kafka.unreadable import log_unreadable

log = logging.getLogger(__name__)


def counted(
    partition: int, low: int, next_command: int, messages: Iterable[Message]
) -> dict[str, int]:
    """The number of own events by broker, of the commands before `next_command`.

    `messages`: all records of the partition from `low` on. In a log that has lost its beginning the
    numbers begin where the log does. Raises UnavailableError if the log does not reach the command:
    a power cut took its tail, and a matcher has not published it again yet.
    """
    at = {partition: FilterPosition()}
    accepted = ExecutionFilter(at, log_unreadable, {partition: low} if low else {})
    numbers: dict[str, int] = {}
    for message in messages:
        batch = accepted.accept(partition, record_offset(message), message.value())
        if batch is None:
            continue
        for outcome in batch.outcomes[: max(0, next_command - batch.first_command)]:
            for own in own_events_of(outcome, steps_of(outcome)):
                numbers[own.broker_id] = numbers.get(own.broker_id, 0) + 1
        if accepted.position(partition).next_command >= next_command:
            break
    else:
        raise UnavailableError(f"executions {partition} do not reach command {next_command} yet")
    log.info("own events counted", extra={"fields": {"partition": partition, "low": low}})
    return numbers
