"""A flow's outcomes from a real engine, as those who follow executions get them."""

from collections.abc import Iterator, Sequence

from benchmarks.micro.engine import flow_of
from benchmarks.micro.harness import Scale
from schemas.codec import encode
from schemas.executions import Outcome, Outcomes
from services.matcher.engine import Engine
from services.runtime.kafka.execution_filter import Batch, ExecutionFilter, FilterPosition

EPOCH = 0
SYMBOLS = 50


def outcomes_of(scale: Scale) -> list[Outcome]:
    """Of the mixed flow, one a command."""
    engine = Engine(0)
    return [engine.apply(command, at) for command, at in flow_of(scale, SYMBOLS)]


def batches(told: Sequence[Outcome], size: int) -> list[Batch]:
    """In lists of so many."""
    return [Batch(0, at, tuple(told[at : at + size])) for at in range(0, len(told), size)]


def records(told: Sequence[Outcome], size: int) -> list[bytes]:
    """As the matcher writes them behind its claim, so many in a record."""
    return [
        encode(Outcomes(EPOCH, batch.first_command, batch.outcomes))
        for batch in batches(told, size)
    ]


def follow(values: Sequence[bytes]) -> Iterator[Batch]:
    """What counts, which is all of it. The claim at record 0 was read before."""
    execution_filter = ExecutionFilter({0: FilterPosition(1, EPOCH, 0)})
    for number, value in enumerate(values):
        batch = execution_filter.follow(0, number + 1, value)
        if batch is not None:
            yield batch
