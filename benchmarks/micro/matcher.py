"""Matcher benchmark without Kafka: bytes of commands in, outcomes and public records out."""

from collections.abc import Iterable, Sequence
from functools import partial

from msgspec import Struct

from benchmarks.micro.engine import flow_of
from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement, Scale, ns_each
from schemas.codec import encode
from schemas.snapshots import PublishedPosition
from services.matcher.claim import Claimed
from services.matcher.engine import Engine
from services.matcher.loop import RECORDS_MAX
from services.matcher.partition import PartitionMatcher
from services.matcher.publish import OutcomePublisher
from services.matcher.recovery import Recovered
from services.runtime.kafka.execution_filter import FilterPosition

SYMBOLS = 50


class CommandBytes(Struct, frozen=True):
    """A record of the command log, in memory."""

    place: int
    time_ms: int
    content: bytes

    def offset(self) -> int:
        """As in the client library."""
        return self.place

    def timestamp(self) -> tuple[int, int]:
        """Timestamp kind and milliseconds, as in the client library."""
        return 2, self.time_ms

    def value(self) -> bytes:
        """As in the client library."""
        return self.content


class Nowhere:
    """A sender without a broker that accepts every record and discards it."""

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        """Accept the record."""

    def check(self) -> None:
        """Do nothing: no delivery fails."""

    def settle(self, timeout_s: float) -> bool:
        """Do nothing: every record is acknowledged."""
        return timeout_s >= 0

    def flush(self) -> None:
        """Do nothing: no record is pending."""


def matcher(published: int = 0) -> PartitionMatcher:
    """A matcher that has just claimed a command log with this many published outcomes."""
    recovered = Recovered(Engine(0), FilterPosition(1, 0, 0))
    public = PublishedPosition(published) if published else PublishedPosition()
    claimed = Claimed(0, 0, published, recovered, public, public)
    return PartitionMatcher(claimed, OutcomePublisher("", Nowhere(), Nowhere()))


def handling(scale: Scale) -> Benchmark:
    """Decode, match, and encode outcomes, trades and book updates, by batch size."""
    log = [
        CommandBytes(at.offset, at.timestamp, encode(command))
        for command, at in flow_of(scale, SYMBOLS)
    ]

    def measure(size: int) -> Iterable[Measurement]:
        parts = [log[at : at + size] for at in range(0, len(log), size)]
        ns = ns_each(partial(_handle, matcher(), parts), len(log))
        yield Measurement("all but Kafka", 1e9 / ns, "commands/s")

    sizes = (1, 10, 100, 1_000)
    return Benchmark(
        [CurvePoint(size, partial(measure, size)) for size in sizes], "commands a poll"
    )


def replaying(scale: Scale) -> Benchmark:
    """Decode and match commands whose outcomes and public records are published."""
    log = [
        CommandBytes(at.offset, at.timestamp, encode(command))
        for command, at in flow_of(scale, SYMBOLS)
    ]
    parts = [log[at : at + RECORDS_MAX] for at in range(0, len(log), RECORDS_MAX)]

    def measure() -> Iterable[Measurement]:
        ns = ns_each(partial(_handle, matcher(len(log)), parts), len(log))
        yield Measurement("all but Kafka", 1e9 / ns, "commands/s")

    return Benchmark([CurvePoint(None, measure)])


def _handle(one: PartitionMatcher, parts: Sequence[Sequence[CommandBytes]]) -> None:
    for part in parts:
        one.handle(part)
