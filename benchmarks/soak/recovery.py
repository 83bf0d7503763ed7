"""Recovery benchmarks on a long command log. The steps run one after the other, each bounded.

A step that fails, or exceeds its bound on time or memory, is reported and the next one begins:
every step first stops the processes that it measures. All faults are injected from outside the
services.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import msgspec
import psycopg
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec import Struct, structs
from psycopg import sql

from benchmarks.processes import metrics, total
from benchmarks.soak.errors import DayError
from benchmarks.soak.watch import MIB, LogEnds, readiness, stored_commands
from infra.errors import InfraError
from infra.spawner import guarded
from loadgen.report.resources import usage
from schemas.topics import SNAPSHOTS
from services.local.child_environment import environment
from services.local.exchange import LocalExchange
from services.replay.recompute import ReplaySummary
from services.runtime.errors import ExchangeError

# The resolution of the measured recovery times.
POLL_S = 0.05
# Each query opens a new PostgreSQL connection, which costs some milliseconds.
SELDOM_S = 0.5
# Memory is read less often than readiness, to cost the measured process little CPU.
MEMORY_EVERY_S = 0.5
_TO_THE_END = -1
HASH_SEEDS = (1, 2)
STEPS = ("matcher", "matcher-log", "reader", "reader-log", "reader-away", "sink", "replay")


class RecoveryStep(Struct, frozen=True):
    """`seconds` until the step succeeded, or until it was aborted when not `ok`."""

    name: str
    ok: bool
    seconds: float
    memory_mib_max: int
    detail: str


class Limits(Struct, frozen=True):
    """The bounds of one step."""

    seconds: float
    memory_mib: int


class Recoveries:
    """The steps by name. `commands`: the number in the command log."""

    def __init__(self, stack: LocalExchange, commands: int, limits: Limits) -> None:
        self._stack = stack
        self._commands = commands
        self._limits = limits
        steps = (
            self._matcher,
            self._matcher_log,
            self._reader,
            self._reader_log,
            self._reader_away,
            self._sink,
            self._replays,
        )
        self._steps: Mapping[str, Callable[[], list[RecoveryStep]]] = dict(
            zip(STEPS, steps, strict=True)
        )

    def run(self, name: str) -> list[RecoveryStep]:
        """Run the step of this name; an error becomes its result."""
        began = time.monotonic()
        try:
            return self._steps[name]()
        except (DayError, ExchangeError, InfraError, psycopg.Error, OSError) as error:
            return [RecoveryStep(name, False, time.monotonic() - began, 0, str(error))]

    def _matcher(self) -> list[RecoveryStep]:
        """Restart the matcher from its newest snapshot."""
        return [self._restarted("matcher", "matcher")]

    def _matcher_log(self) -> list[RecoveryStep]:
        """Restart the matcher from the command log alone, with its snapshots deleted while it is
        down."""
        self._stack.services["matcher"].kill()
        admin = AdminClient(self._stack.admin.config())
        topic = SNAPSHOTS.full_name(self._stack.topic_prefix)
        everything = [
            TopicPartition(topic, number, _TO_THE_END)
            for number in range(self._stack.settings.partitions)
        ]
        for deleted in admin.delete_records(everything).values():
            deleted.result(self._limits.seconds)
        return [self._restarted("matcher-log", "matcher")]

    def _reader(self) -> list[RecoveryStep]:
        """Restart the gateway, whose views come from PostgreSQL."""
        return [self._restarted("reader", "gateway")]

    def _reader_log(self) -> list[RecoveryStep]:
        """Restart the gateway without PostgreSQL, which returns while the views are being built."""
        postgres = self._stack.servers.postgres
        if postgres is None:
            raise DayError("PostgreSQL is not ours to stop")
        postgres.stop()
        try:
            self._stack.services["gateway"].kill()
            began = time.monotonic()
            self._stack.start("gateway")
            self._until(
                lambda: "from the executions topic alone" in readiness(self._stack),
                "gateway",
                began,
            )
        finally:
            postgres.start()
        return [self._ready("reader-log", "gateway", began)]

    def _reader_away(self) -> list[RecoveryStep]:
        """Restart the gateway without PostgreSQL throughout: all closed orders stay in memory."""
        postgres = self._stack.servers.postgres
        if postgres is None:
            raise DayError("PostgreSQL is not ours to stop")
        postgres.stop()
        try:
            return [self._restarted("reader-away", "gateway")]
        finally:
            postgres.start()
            # The gateway holds all orders in memory; later steps need one of normal size.
            self._stack.services["gateway"].kill()
            self._stack.start("gateway")
            self._stack.wait_ready("gateway", self._limits.seconds)

    def _sink(self) -> list[RecoveryStep]:
        """Run the sink into an empty database."""
        stack = self._stack
        stack.services["sink"].kill()
        _empty(stack.database_url)
        began = time.monotonic()
        stack.start("sink")
        peak, done = self._until(
            lambda: stored_commands(stack) >= self._commands, "sink", began, SELDOM_S
        )
        seconds = time.monotonic() - began
        rows = total(metrics(stack, "sink"), "exchange_sink_rows_total") or 0
        commands = stored_commands(stack)
        detail = f"{rows / seconds:,.0f} rows/s, {commands / seconds:,.0f} commands/s"
        return [RecoveryStep("sink", done, seconds, peak, f"{detail}, {rows:,} rows")]

    def _replays(self) -> list[RecoveryStep]:
        """Replay each partition twice to its current end, under two seeds of Python's hashes."""
        ends = LogEnds(self._stack)
        try:
            until = ends.each()
        finally:
            ends.close()
        return [self._replay(number, end) for number, end in enumerate(until)]

    def _replay(self, number: int, until: int) -> RecoveryStep:
        took, found = [], []
        for seed in HASH_SEEDS:
            began = time.monotonic()
            found.append(self._replayed(number, until, seed))
            took.append(time.monotonic() - began)
        same = structs.astuple(found[0]) == structs.astuple(found[1])
        detail = (
            f"{found[0].commands:,} commands, {found[0].commands / min(took):,.0f}/s, "
            f"digest {found[0].digest[:16]}, {'equal' if same else 'NOT EQUAL'} under "
            f"PYTHONHASHSEED 1 ({took[0]:.1f} s) and 2 ({took[1]:.1f} s)"
        )
        return RecoveryStep(f"replay {number}", same, sum(took), 0, detail)

    def _replayed(self, number: int, until: int, seed: int) -> ReplaySummary:
        settings = self._stack.operator
        # Ticks may still arrive: both replays must end at the same command.
        where = ["--partition", str(number), "--from-start", "--until-offset", str(until)]
        try:
            done = subprocess.run(  # noqa: S603 - our own command, no shell
                guarded([sys.executable, "-m", "services.cli", "replay", *where, "--json"]),
                env=environment(os.environ, settings, {"PYTHONHASHSEED": str(seed)}),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._limits.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DayError(f"partition {number} is not replayed in {error.timeout:.0f} s") from None
        if done.returncode != 0:
            raise DayError(f"exchange replay: {done.stderr.decode(errors='replace')[-500:]}")
        return msgspec.json.decode(done.stdout, type=ReplaySummary)

    def _restarted(self, step: str, name: str) -> RecoveryStep:
        """Kill with SIGKILL, start, and wait until the service is ready."""
        self._stack.services[name].kill()
        began = time.monotonic()
        self._stack.start(name)
        return self._ready(step, name, began)

    def _ready(self, step: str, name: str, began: float) -> RecoveryStep:
        peak, done = self._until(lambda: self._stack.ready(name), name, began)
        seconds = time.monotonic() - began
        return RecoveryStep(step, done, seconds, peak, "ready" if done else self._given_up(name))

    def _given_up(self, name: str) -> str:
        """The reason of a failure; the process is killed so that it does not disturb later
        steps."""
        child = self._stack.services[name]
        reason = "time or memory is out" if child.alive else f"exit code {child.exit_code}"
        reached = (
            total(metrics(self._stack, name), "exchange_next_command") if child.alive else None
        )
        child.kill()
        at = "" if reached is None else f" at {reached:,} of {self._commands:,} commands"
        return f"stopped early{at}: {reason}"

    def _until(
        self, done: Callable[[], bool], name: str, began: float, poll_s: float = POLL_S
    ) -> tuple[int, bool]:
        """The process's maximum memory in MiB while waiting, and True if the condition was
        reached."""
        child, peak, looked_at = self._stack.services[name], 0, 0.0
        while not (fulfilled := done()):
            now = time.monotonic()
            if now - looked_at > MEMORY_EVERY_S:
                looked_at = now
                peak = max(peak, usage(child.pid).memory_bytes // MIB)
            out = now - began > self._limits.seconds or peak > self._limits.memory_mib
            if out or not child.alive:
                break
            time.sleep(poll_s)
        return max(peak, usage(child.pid).memory_bytes // MIB), fulfilled


def pauses(stack: LocalExchange) -> str:
    """The time for which the matcher's snapshots have paused matching so far."""
    prefix = "exchange_snapshot_pause_seconds"
    found = metrics(stack, "matcher")
    count, sum_s, bounds = 0, 0.0, []
    for metric in found:
        if metric.name == f"{prefix}_count":
            count = int(metric.value)
        elif metric.name == f"{prefix}_sum":
            sum_s = metric.value
        elif metric.name == f"{prefix}_bucket":
            bounds.append((float(metric.labels["le"]), int(metric.value)))
    if not count:
        return "no snapshots"
    longest = min(bound for bound, within in bounds if within == count)
    longest_text = f"at most {longest:g} s"
    if longest == float("inf"):
        longest_text = f"over {max(bound for bound, _ in bounds if bound != longest):g} s"
    return f"{count} snapshots, mean {sum_s / count * 1000:,.0f} ms, longest {longest_text}"


def _empty(database_url: str) -> None:
    """Delete all rows of all tables except the table of migrations."""
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'schema_migrations'"
        ).fetchall()
        names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in tables)
        connection.execute(sql.SQL("TRUNCATE {}").format(names))
