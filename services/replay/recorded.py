"""The outcomes recorded in one partition of executions, in the order of the commands."""

from collections.abc import Callable, Iterator

from schemas.executions import Outcome
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition
from services.runtime.kafka.log_reader import LogReader


def _ignore(_: FilterPosition) -> None:
    """Positions that the caller does not need."""


def recorded_outcomes(
    executions: LogReader,
    partition: int,
    start: FilterPosition,
    on_position: Callable[[FilterPosition], None] = _ignore,
) -> Iterator[Outcome]:
    """The outcomes that count, from `start` on.

    `on_position` gets the position before each record, and the last one. Raises BrokenLogError.
    """
    execution_filter = ExecutionFilter({partition: start})
    for record in executions.records(start.next_record):
        on_position(execution_filter.position(partition))
        batch = execution_filter.accept(partition, record.offset, record.value)
        if batch is not None:
            yield from batch.outcomes
    on_position(execution_filter.position(partition))
