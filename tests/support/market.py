"""Outcomes of a seeded market from the real engine, without Kafka."""

from collections.abc import Iterator

from msgspec import structs

from loadgen.commands import commands
from loadgen.workload.orderflow import Profile, plan
from schemas.commands import Command, Tick
from schemas.executions import Outcome
from services.matcher.engine import Engine, EnginePosition
from services.runtime.kafka.execution_filter import Batch

START_MS = 1_795_000_000_000
# Few symbols and brokers, so that books are deep and a symbol has more trades than are averaged.
PROFILE = Profile(
    duration_s=30,
    symbols=4,
    brokers=8,
    cancel_age_ms_mean=800,
    valid_short_percent=20,
    valid_seconds_percent=20,
    ioc_percent=5,
    stop_percent=5,
    iceberg_percent=10,
    replace_percent=10,
)
UNREADABLE_ONE_IN = 97


def outcomes(partition: int, seed: int, profile: Profile = PROFILE) -> Iterator[Outcome]:
    """One outcome for each command. Every partition has different symbols."""
    flow = plan(profile, seed)
    own = tuple(f"{symbol[:5]}.{partition}" for symbol in flow.symbols)
    engine = Engine(partition)
    offset = 0
    for now_ms, command in commands(structs.replace(flow, symbols=own), partition, START_MS):
        if offset % UNREADABLE_ONE_IN == 0:
            yield _applied(engine, None, offset, now_ms)
            offset += 1
        yield _applied(engine, command, offset, now_ms)
        offset += 1
    yield _applied(engine, Tick(), offset, now_ms)


def _applied(engine: Engine, command: Command | None, offset: int, now_ms: int) -> Outcome:
    return engine.apply(command, EnginePosition(engine.partition, offset, now_ms))


def batches(
    partition: int, published: list[Outcome], first: int = 0, size: int = 37
) -> list[Batch]:
    """Outcomes grouped like the matcher's records; `first` is the first outcome's command."""
    return [
        Batch(partition, first + at, tuple(published[at : at + size]))
        for at in range(0, len(published), size)
    ]
