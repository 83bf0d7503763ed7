"""An exchange and its brokers for one or several runs: 1. readiness, 2. brokers, 3. filled books,
4. runs, 5. an audit of everything that the brokers were answered.
"""

import os
from collections.abc import Callable

import uvloop
from msgspec import structs

from loadgen.client.client import Job, Transport
from loadgen.client.client_log import client_lines
from loadgen.client.record import ERROR_KINDS
from loadgen.client.setup import SetupError, no_webhooks, register, require_ready, set_instruments
from loadgen.client.streams import StreamsJob
from loadgen.client.target import Target
from loadgen.client.workers import INTERRUPTED, RunResult, RunState, Workers
from loadgen.report.progress import PlanProgress
from loadgen.report.summary import Audit
from loadgen.workload.orderflow import Plan, Profile, book, plan
from loadgen.workload.profiles import needs_instruments
from schemas.rest import Registration
from services.audit.client_log import ClientLine
from services.audit.run import run_audit
from services.runtime.progress import Progress

# The exchange is expected to run already; this bridges a restart of one process.
READY_WAIT_S = 5.0
# Orders in progress while books are filled: quick, without overloading the exchange.
BOOK_IN_FLIGHT_MAX = 16
# The sink lags at most a second; the rest is reserve for a busy machine.
AUDIT_WAIT_S = 30.0


class Session:
    """`errors_before` counts errors before the measurement."""

    def __init__(
        self,
        target: Target,
        progress: Progress,
        processes: int,
        give_up_s: float,
        batch: int = 1,
        transport: Transport = "http",
    ) -> None:
        self.target = target
        self._progress = progress
        self._batch = batch
        self._transport = transport
        self._workers = Workers(processes, target.pids, give_up_s, self._show)
        self._shown: PlanProgress | None = None
        self.brokers: list[Registration] = []
        self._lines: list[ClientLine] = []
        self.errors_before = 0

    def prepare(
        self,
        profile: Profile,
        seed: int,
        webhook_url: Callable[[int], str | None] = no_webhooks,
    ) -> None:
        """Prepare the exchange. Raises SetupError, and KeyboardInterrupt on a signal."""
        target, say = self.target, self._progress.say
        require_ready(target.url, READY_WAIT_S)
        self.brokers = uvloop.run(
            register(target.url, target.admin_key, profile.brokers, webhook_url)
        )
        say(f"{profile.brokers} brokers registered, {profile.symbols} symbols, seed {seed}")
        filling = book(profile, seed)
        if needs_instruments(profile):
            uvloop.run(set_instruments(target.url, target.admin_key, filling.symbols))
        if filling.actions:
            say(f"filling the books with {len(filling.actions):,} orders ...")
            self._before("books", filling, BOOK_IN_FLIGHT_MAX)

    def warm_up(self, profile: Profile, seed: int, seconds: int) -> None:
        """Send the same flow unmeasured for a while, to warm up caches, JIT and connections."""
        if seconds:
            self._progress.say(f"warming up for {seconds} s ...")
            self._before("warm-up", plan(structs.replace(profile, duration_s=seconds), seed + 1))

    def streams(self, flow: Plan, count: int) -> StreamsJob:
        """Feeds of the flow's symbols, with the brokers' keys."""
        keys = tuple(broker.api_key for broker in self.brokers)
        return StreamsJob(self.target.url, keys, flow.shares(), count, flow.seed)

    def run(self, flow: Plan, what: str) -> RunResult:
        """Send the flow and measure it."""
        return self._run(flow, what, None)

    def forget_answers(self) -> None:
        """Forget the answers so far, so that no memory grows; an audit would lack them."""
        self._lines.clear()

    def audit(self) -> Audit:
        """Audit the log and all derived data against the brokers' answers."""
        say = self._progress.say
        if not self.target.auditable:
            say("no audit: set EXCHANGE_KAFKA and EXCHANGE_DATABASE_URL, or EXCHANGE_DATA_DIR")
            return "left out"
        say("auditing ...")
        found = run_audit(self.target.settings, self._lines, AUDIT_WAIT_S, self._progress)
        for line in found.lines():
            say(line)
        return "holds" if found.holds else "fails"

    def _show(self, state: RunState) -> None:
        if self._shown is not None:
            self._shown.update(state)

    def _before(self, what: str, flow: Plan, in_flight_max: int | None = None) -> None:
        ran = self._run(flow, what, in_flight_max)
        if ran.why == INTERRUPTED:
            raise KeyboardInterrupt
        if ran.why:
            raise SetupError(f"{self.target.url}: {what}: {ran.why}")
        self.errors_before += sum(line.kind in ERROR_KINDS for line in ran.records)

    def _run(self, flow: Plan, what: str, in_flight_max: int | None) -> RunResult:
        keys = tuple(broker.api_key for broker in self.brokers)
        job = Job(
            self.target.url,
            keys,
            tag=f"{os.urandom(4).hex()}-",
            in_flight_max=in_flight_max,
            batch=self._batch,
            transport=self._transport,
        )
        self._shown = PlanProgress(self._progress, what, flow)
        ran = self._workers.run(job, flow)
        self._progress.end()
        ids = [broker.broker_id for broker in self.brokers]
        self._lines.extend(client_lines(ran.records, ids))
        return ran
