"""Kafka benchmarks: the matcher process and command acknowledgement, on a real local broker."""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec
from msgspec import Struct

from benchmarks.acknowledgements import AcknowledgementProbe
from benchmarks.micro.context import Context
from benchmarks.micro.engine import flow_of
from benchmarks.micro.errors import BenchError
from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement
from infra.process import ChildProcess
from loadgen.report.report import percentile
from loadgen.report.resources import usage
from schemas.codec import decode_execution, encode
from schemas.commands import Command, PlaceOrder
from schemas.executions import Outcomes
from schemas.topics import COMMANDS, EXECUTIONS
from services.local.child_environment import environment
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.producer import FailFastSender
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.settings import Settings

SYMBOLS = 50
# Multiple of the mixed flow's commands: enough for at least one second of work.
LONGER = 4
# The same for a replay, which is faster.
RECOVERED = 10
# Commands of the computed recovery.
COMMANDS_COMPUTED = 10_000_000
# Short enough for two samples of a second of work; each costs the matcher a scrape.
SAMPLE_INTERVAL_S = 0.1
# A matcher that stops making progress must not block the run.
DONE_TIMEOUT_S = 300.0
# A matcher flushes its outcomes when it is stopped.
STOP_GRACE_S = 15.0
# Bounds the filling of a whole backlog.
FLUSH_TIMEOUT_S = 60.0
PERCENTS = (50, 99)


class MatcherSample(Struct, frozen=True):
    """Commands with an outcome, and the matcher's CPU time, at one moment."""

    at_s: float
    commands: int
    cpu_s: float


def matching(context: Context) -> Benchmark:
    """Matcher throughput on an existing backlog: by its own CPU time, and by the clock."""
    scale = context.scale
    flow = [command for command, _ in flow_of(scale, SYMBOLS, LONGER * scale.flow_s)]
    bootstrap = context.servers.kafka()

    def measure() -> Iterable[Measurement]:
        prefix = f"{context.servers.name('matcher')}."
        TopicsAdmin(KafkaAccess(bootstrap), prefix).apply(1, "process")
        fill(bootstrap, prefix, flow)
        settings = Settings(kafka=bootstrap, topic_prefix=prefix, snapshot_every=0)
        first, last = _between(watched(context, settings, len(flow)), len(flow))
        commands = last.commands - first.commands
        cpu_s = last.cpu_s - first.cpu_s
        yield Measurement("one core", commands / cpu_s, "commands/s")
        yield Measurement("by the clock", commands / (last.at_s - first.at_s), "commands/s")
        yield Measurement("CPU", cpu_s / commands * 1e9, "ns/command")

    return Benchmark([CurvePoint(None, measure)])


def recovering(context: Context) -> Benchmark:
    """A matcher without a snapshot replays a log whose outcomes are published, from its claim to
    readiness; and, computed from its CPU time, what 10 million commands take on all cores."""
    scale = context.scale
    flow = [command for command, _ in flow_of(scale, SYMBOLS, RECOVERED * scale.flow_s)]
    prefix = f"{context.servers.name('recovery')}."
    settings = Settings(kafka=context.servers.kafka(), topic_prefix=prefix, snapshot_every=0)
    TopicsAdmin(KafkaAccess(settings.kafka), prefix).apply(1, "process")
    fill(settings.kafka, prefix, flow)
    context.show("matching them once")
    watched(context, settings, len(flow))

    def measure() -> Iterable[Measurement]:
        replayed = _replayed(context, settings)
        rate = replayed.commands / replayed.cpu_seconds
        yield Measurement("one core", rate, "commands/s")
        yield Measurement("by the clock", replayed.commands / replayed.seconds, "commands/s")
        cores = len(os.sched_getaffinity(0))
        yield Measurement("computed for 10 million", COMMANDS_COMPUTED / rate / cores * 1e9, "ns")

    return Benchmark([CurvePoint(None, measure)])


class ReplayedLine(Struct, frozen=True):
    """The matcher's log line at the end of its replay; other lines have another message."""

    message: str
    commands: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def _replayed(context: Context, settings: Settings) -> ReplayedLine:
    child = ChildProcess(
        [sys.executable, "-m", "services.matcher"],
        log_file=context.servers.folder / f"{context.servers.name('replay')}.log",
        env=environment(os.environ, settings, {}),
    )
    deadline = time.monotonic() + DONE_TIMEOUT_S
    child.start()
    try:
        while child.alive and time.monotonic() < deadline:
            time.sleep(SAMPLE_INTERVAL_S)
            for line in child.tail_of_log().splitlines():
                # The last line may not be complete yet.
                with suppress(msgspec.MsgspecError):
                    found = msgspec.json.decode(line, type=ReplayedLine)
                    if found.message == "replayed":
                        return found
        raise BenchError(f"the matcher did not replay: {child.tail_of_log(3)}")
    finally:
        child.stop(grace_s=STOP_GRACE_S)


def fill(bootstrap: str, prefix: str, flow: Sequence[Command]) -> None:
    sender = FailFastSender(KafkaAccess(bootstrap), linger_ms=5)
    for command in flow:
        key = command.symbol.encode() if isinstance(command, PlaceOrder) else None
        sender.send(COMMANDS.full_name(prefix), 0, key, encode(command))
    sender.flush(FLUSH_TIMEOUT_S)


def watched(context: Context, settings: Settings, count: int) -> list[MatcherSample]:
    """Sample a matcher from its start until it has the outcomes of `count` commands."""
    child = ChildProcess(
        [sys.executable, "-m", "services.matcher"],
        log_file=context.servers.folder / f"{settings.topic_prefix}log",
        env=environment(os.environ, settings, {}),
    )
    samples: list[MatcherSample] = []
    deadline = time.monotonic() + DONE_TIMEOUT_S
    outcomes = OutcomeCount(settings)
    child.start()
    try:
        while not samples or samples[-1].commands < count:
            if not child.alive or time.monotonic() > deadline:
                raise BenchError(f"the matcher did not finish: {child.tail_of_log(3)}")
            time.sleep(SAMPLE_INTERVAL_S)
            samples += _sample(child, outcomes.commands())
    finally:
        outcomes.close()
        child.stop(grace_s=STOP_GRACE_S)
    return samples


def _sample(child: ChildProcess, commands: int) -> list[MatcherSample]:
    if not commands:
        return []
    return [MatcherSample(time.perf_counter(), commands, usage(child.pid).cpu_s)]


class OutcomeCount:
    """Commands whose outcomes are in the executions topic. The page of metrics is too old for it:
    it is rendered once a second."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = LogConsumer(KafkaAccess(settings.kafka), Fetch(wait_ms=10, bytes_min=1))
        self._executions = Partition(EXECUTIONS.full_name(settings.topic_prefix), 0)

    def commands(self) -> int:
        """The number by the topic's last record; 0 if that is a claim."""
        end = self._consumer.range(self._executions).end
        for message in self._consumer.read(self._executions, max(0, end - 1), end):
            execution = decode_execution(message.value())
            if isinstance(execution, Outcomes):
                return execution.first_offset + len(execution.outcomes)
        return 0

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()


def _between(samples: Sequence[MatcherSample], count: int) -> tuple[MatcherSample, MatcherSample]:
    """Two samples taken while work was left, as far apart as possible."""
    busy = [sample for sample in samples if sample.commands < count]
    if len(busy) < 2:  # noqa: PLR2004
        raise BenchError(f"{count:,} commands were matched between two samples: measure more")
    return busy[0], busy[-1]


def acknowledging(context: Context) -> Benchmark:
    """Time from when a command was due until Kafka acknowledges it, by durability mode."""
    scale = context.scale
    values = [encode(command) for command, _ in flow_of(scale, SYMBOLS)]
    probes = {
        mode: AcknowledgementProbe(
            context.cluster() if mode == "replicated" else context.servers.kafka(),
            mode,
            f"{context.servers.name('ack')}.",
        )
        for mode in scale.modes
    }
    for probe in probes.values():
        probe.run(values, max(scale.rates), 1.0)

    def point(rate: int) -> CurvePoint:
        def measure() -> Iterable[Measurement]:
            for mode, probe in probes.items():
                times_ms = probe.run(values, rate, scale.rate_s)
                if probe.failed:
                    raise BenchError(f"{probe.failed} commands were not acknowledged as {mode}")
                yield from readings(f"{mode} ", times_ms)

        return CurvePoint(rate, measure)

    return Benchmark([point(rate) for rate in scale.rates], "commands a second")


def readings(series: str, times_ms: Iterable[float]) -> Iterable[Measurement]:
    """The latency percentiles of one repeat."""
    ordered = sorted(int(time_ms * 1e6) for time_ms in times_ms)
    for percent in PERCENTS:
        yield Measurement(f"{series}p{percent}", percentile(ordered, percent * 10), "ns")
