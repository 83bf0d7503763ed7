"""Outcomes of a flow from a real engine, in the form that consumers of executions receive."""

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
    """Outcomes of the mixed flow, one per command."""
    engine = Engine(0)
    return [engine.apply(command, at) for command, at in flow_of(scale, SYMBOLS)]


def batches(outcomes: Sequence[Outcome], size: int) -> list[Batch]:
    """Split the outcomes into lists of `size`."""
    return [Batch(0, at, tuple(outcomes[at : at + size])) for at in range(0, len(outcomes), size)]


def records(outcomes: Sequence[Outcome], size: int) -> list[bytes]:
    """Records as the matcher writes them after its claim, with `size` outcomes each."""
    return [
        encode(Outcomes(EPOCH, batch.first_command, batch.outcomes))
        for batch in batches(outcomes, size)
    ]


def follow(values: Sequence[bytes]) -> Iterator[Batch]:
    """The counting outcomes, here all of them. The claim at record 0 was read before."""
    execution_filter = ExecutionFilter({0: FilterPosition(1, EPOCH, 0)})
    for number, value in enumerate(values):
        batch = execution_filter.accept(0, number + 1, value)
        if batch is not None:
            yield batch
