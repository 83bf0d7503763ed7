"""Observes a running exchange from outside, in a separate thread: positions, lag, memory.

A position is the number of commands whose outcome a process has: the matcher's and the reader's
come from their metrics (both started with the command log), the sink's from PostgreSQL itself.
"""

import shutil
import threading
import time
import urllib.error
from collections.abc import Callable
from contextlib import suppress

import psycopg
from confluent_kafka import KafkaException
from msgspec import Struct

from benchmarks.processes import ANSWER_TIMEOUT_S, POSTGRES, metrics, pids, total
from benchmarks.soak.errors import DayError
from loadgen.report.resources import shared_memory_bytes, usage
from schemas.topics import COMMANDS
from services.local.exchange import LocalExchange
from services.runtime.errors import ExchangeError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.readiness import DIRECT

# Seconds between observations; short enough for a writer that is throttled by them.
SAMPLE_INTERVAL_S = 0.5
# With less free disk space, in bytes, servers begin to fail in ways that are not measured here.
DISK_LEFT_LEAST = 2 << 30
# Seconds without any progress, although work is left, after which the run fails.
STALLED_S = 120.0
OURS = ("gateway", "matcher", "sink")
MIB = 1 << 20


class DaySample(Struct, frozen=True):
    """One observation. `log`: commands in the command log; `memory_mib` by process.

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
        """Commands in the command log that the slowest of the three processes has not processed."""
        return self.log - min(self.matcher, self.reader, self.sink)

    @property
    def ours_mib(self) -> int:
        """Memory of all processes of the exchange, without its servers."""
        return sum(self.memory_mib.get(name, 0) for name in OURS)


def readiness(stack: LocalExchange) -> str:
    """The gateway's answer about its readiness; empty when it does not answer."""
    try:
        with DIRECT.open(f"{stack.url}/readyz", timeout=ANSWER_TIMEOUT_S) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as not_yet:
        with not_yet:
            return not_yet.read().decode()
    except OSError:
        return ""


def memory_mib(stack: LocalExchange) -> dict[str, int]:
    """Resident memory by process; PostgreSQL's shared pages count once."""
    return {
        name: (shared_memory_bytes(pid) if name == POSTGRES else usage(pid).memory_bytes) // MIB
        for name, pid in pids(stack).items()
    }


def stored_commands(stack: LocalExchange) -> int:
    """The number of commands whose outcomes are in PostgreSQL. Raises psycopg.Error."""
    with psycopg.connect(stack.database_url, connect_timeout=int(ANSWER_TIMEOUT_S)) as connection:
        row = connection.execute("SELECT coalesce(sum(next_command), 0) FROM log_positions")
        return int((row.fetchone() or [0])[0])


class LogEnds:
    """The number of commands. For use in one thread."""

    def __init__(self, stack: LocalExchange) -> None:
        self._stack = stack
        self._consumer = LogConsumer(kafka_access(stack.operator), Fetch(wait_ms=10))

    def commands(self) -> int:
        """Commands in all partitions. Raises UnavailableError."""
        return sum(self.each())

    def each(self) -> list[int]:
        """The end offset of each partition of the command log. Raises UnavailableError."""
        name = COMMANDS.full_name(self._stack.topic_prefix)
        return [
            self._consumer.range(Partition(name, number)).end
            for number in range(self._stack.settings.partitions)
        ]

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()


class Watch:
    """`latest` is the newest observation, `samples` a series; `on_sample` gets each."""

    def __init__(
        self, stack: LocalExchange, every_s: float, on_sample: Callable[[DaySample], None]
    ) -> None:
        self._stack = stack
        self._every_s = every_s
        self._on_sample = on_sample
        self._ends = LogEnds(stack)
        self._began = self._moved_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.latest = DaySample(0.0, 0, 0, 0, 0, 0, 0, memory_mib(stack))
        self.samples: list[DaySample] = []
        self._thread.start()

    def require_progress(self, memory_mib_max: int) -> None:
        """Raises DayError when a process has ended or is too large, or when progress stops."""
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
        sampled_at = 0.0
        while not self._stopping.wait(SAMPLE_INTERVAL_S):
            before = self.latest
            self.latest = now = self._observe(before)
            if (now.matcher, now.reader, now.sink) != (before.matcher, before.reader, before.sink):
                self._moved_at = time.monotonic()
            if now.at_s - sampled_at >= self._every_s:
                sampled_at = now.at_s
                self.samples.append(now)
                self._on_sample(now)

    def _observe(self, before: DaySample) -> DaySample:
        stack = self._stack
        matcher, gateway = metrics(stack, "matcher"), metrics(stack, "gateway")
        log, sink = before.log, before.sink
        # The service is briefly unavailable; if it stays so, the check for progress fails.
        with suppress(ExchangeError, KafkaException, psycopg.Error):
            log, sink = self._ends.commands(), stored_commands(stack)
        return DaySample(
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
