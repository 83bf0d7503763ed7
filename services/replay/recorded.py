"""The outcomes recorded in one partition of executions, in the order of the commands."""

from collections.abc import Callable, Iterator

from msgspec import structs

from schemas.executions import Outcome
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.kafka.unreadable import log_unreadable


def _ignore(_: FilterPosition) -> None:
    """Positions that the caller does not need."""


def recorded_outcomes(
    executions: LogReader,
    partition: int,
    start: FilterPosition,
    on_position: Callable[[FilterPosition], None] = _ignore,
) -> Iterator[Outcome]:
    """The outcomes that count, from `start` on.

    `on_position` gets the position at each offset, and the last one. Raises BrokenLogError.
    """
    execution_filter = ExecutionFilter({partition: start}, log_unreadable)
    for record in executions.records(start.next_record):
        at = execution_filter.position(partition)
        # More than one offset where some hold no record: a snapshot may continue at any of them.
        for offset in range(at.next_record, record.offset + 1):
            on_position(structs.replace(at, next_record=offset))
        batch = execution_filter.accept(partition, record.offset, record.value)
        if batch is not None:
            yield from batch.outcomes
    at = execution_filter.position(partition)
    for offset in range(at.next_record, executions.end + 1):
        on_position(structs.replace(at, next_record=offset))
