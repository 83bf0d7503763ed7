"""Looks at a running exchange from outside, in a thread of its own: positions, lag, memory.

Positions are commands whose outcome a process has: the matcher's from its metrics (it was started
with the log), the reader's from the gateway's metrics, the sink's from PostgreSQL itself.
"""

import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress

import psycopg
from confluent_kafka import KafkaException
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as Metric

from benchmarks.soak.errors import DayError
from loadgen.report.resources import shared_memory_bytes, usage
from schemas.topics import COMMANDS, Topic
from services.local.exchange import Stack
from services.runtime.errors import ExchangeError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition

# Often enough for a writer that is throttled by what it hears.
LOOK_S = 0.5
# A process under load answers late; its last known figures stand meanwhile.
ANSWER_TIMEOUT_S = 5.0
# Less room than this on the disk, and servers begin to fail in ways that are not measured here.
DISK_LEFT_LEAST = 2 << 30
# Nobody has moved for so long although there is something to do.
STALLED_S = 120.0
OURS = ("gateway", "matcher", "sink")
POSTGRES = "postgres"
MIB = 1 << 20


class Sample(Struct, frozen=True):
    """One look. `log`: commands in the log; `memory_mib` by process.

    `reader_orders`: open orders, and closed ones that the reader still holds.
    """

    at_s: float
    log: int
    matcher: int
    reader: int
    sink: int
    open_orders: int
    reader_orders: int
    memory_mib: dict[str, int]

    @property
    def behind(self) -> int:
        """Commands in the log that the slowest of the three has not."""
        return self.log - min(self.matcher, self.reader, self.sink)

    @property
    def ours_mib(self) -> int:
        """Of all processes of the exchange, without its servers."""
        return sum(self.memory_mib.get(name, 0) for name in OURS)


def metrics(stack: Stack, name: str) -> list[Metric]:
    """What a service tells of itself now; nothing when it does not answer."""
    port = stack.probes.get(name)
    return metrics_at(stack.url if port is None else f"http://127.0.0.1:{port}")


def metrics_at(base: str) -> list[Metric]:
    """What the service at this address tells of itself now; nothing when it does not answer."""
    try:
        with urllib.request.urlopen(  # noqa: S310 - an address of our own making
            f"{base}/metrics", timeout=ANSWER_TIMEOUT_S
        ) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return []
    return [metric for family in text_string_to_metric_families(text) for metric in family.samples]


def readiness(stack: Stack) -> str:
    """What the gateway says of its being ready, or not yet; empty when it does not answer."""
    try:
        with urllib.request.urlopen(  # noqa: S310 - an address of our own making
            f"{stack.url}/readyz", timeout=ANSWER_TIMEOUT_S
        ) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as not_yet:
        with not_yet:
            return not_yet.read().decode()
    except OSError:
        return ""


def total(found: list[Metric], name: str) -> int | None:
    """The sum over all labels; None when the service did not tell it."""
    values = [metric.value for metric in found if metric.name == name]
    return int(sum(values)) if values else None


def pids(stack: Stack) -> dict[str, int]:
    """Every process of the exchange, and those of its servers that it started, by name."""
    found = {name: child.pid for name, child in stack.services.items()}
    for name, server in (("kafka", stack.servers.kafka), (POSTGRES, stack.servers.postgres)):
        if server is not None:
            found[name] = server.process.pid
    return found


def memory_mib(stack: Stack) -> dict[str, int]:
    """Resident memory by process; PostgreSQL's shared pages count once."""
    return {
        name: (shared_memory_bytes(pid) if name == POSTGRES else usage(pid).memory_bytes) // MIB
        for name, pid in pids(stack).items()
    }


def stored_commands(stack: Stack) -> int:
    """How many commands' outcomes PostgreSQL has. Raises psycopg.Error."""
    with psycopg.connect(stack.database_url, connect_timeout=int(ANSWER_TIMEOUT_S)) as connection:
        row = connection.execute("SELECT coalesce(sum(next_command), 0) FROM log_positions")
        return int((row.fetchone() or [0])[0])


class LogEnds:
    """How many records each topic holds. For one thread."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._consumer = LogConsumer(kafka_access(stack.operator), Fetch(wait_ms=10))

    def records(self, topic: Topic = COMMANDS) -> int:
        """Of all its partitions. Raises UnavailableError."""
        return sum(self.each(topic))

    def each(self, topic: Topic = COMMANDS) -> list[int]:
        """Where each partition ends. Raises UnavailableError."""
        name = self._stack.topic_prefix + topic.name
        return [
            self._consumer.range(Partition(name, number)).end
            for number in range(self._stack.settings.partitions)
        ]

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()


class Watch:
    """`latest` is the newest look, `samples` one every few seconds. `tell` gets a line for each."""

    def __init__(self, stack: Stack, every_s: float, tell: Callable[[Sample], None]) -> None:
        self._stack = stack
        self._every_s = every_s
        self._tell = tell
        self._ends = LogEnds(stack)
        self._began = self._moved_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.latest = Sample(0.0, 0, 0, 0, 0, 0, 0, memory_mib(stack))
        self.samples: list[Sample] = []
        self._thread.start()

    def require_progress(self, memory_mib_max: int) -> None:
        """Raises DayError when a process is gone or too large, or nothing moves any more."""
        for name, child in self._stack.services.items():
            if not child.alive:
                raise DayError(
                    f"{name} ended with exit code {child.exit_code}; the last lines of its log:\n"
                    f"{child.tail_of_log(5)}"
                )
        for name, mib in self.latest.memory_mib.items():
            if mib > memory_mib_max:
                raise DayError(f"{name} takes {mib:,} MiB: {self.latest}")
        if shutil.disk_usage(self._stack.data_dir).free < DISK_LEFT_LEAST:
            raise DayError(f"the disk is full: {self.latest}")
        if self.latest.behind and time.monotonic() - self._moved_at > STALLED_S:
            raise DayError(f"nothing has moved for {STALLED_S:.0f} s: {self.latest}")

    def close(self) -> None:
        """End, with a last sample."""
        self._stopping.set()
        self._thread.join()
        self._ends.close()
        self.samples.append(self.latest)

    def _run(self) -> None:
        told_at = 0.0
        while not self._stopping.wait(LOOK_S):
            before = self.latest
            self.latest = now = self._look(before)
            if (now.matcher, now.reader, now.sink) != (before.matcher, before.reader, before.sink):
                self._moved_at = time.monotonic()
            if now.at_s - told_at >= self._every_s:
                told_at = now.at_s
                self.samples.append(now)
                self._tell(now)

    def _look(self, before: Sample) -> Sample:
        stack = self._stack
        matcher, gateway = metrics(stack, "matcher"), metrics(stack, "gateway")
        log, sink = before.log, before.sink
        # Away for a moment; if it stays away, nothing moves.
        with suppress(ExchangeError, KafkaException, psycopg.Error):
            log, sink = self._ends.records(), stored_commands(stack)
        return Sample(
            at_s=time.monotonic() - self._began,
            log=log,
            matcher=_or(total(matcher, "exchange_commands_total"), before.matcher),
            reader=_or(total(gateway, "exchange_next_command"), before.reader),
            sink=sink,
            open_orders=_or(total(matcher, "exchange_open_orders"), before.open_orders),
            reader_orders=_or(total(gateway, "exchange_orders_in_memory"), before.reader_orders),
            memory_mib=memory_mib(stack),
        )


def _or(found: int | None, before: int) -> int:
    return before if found is None else found
