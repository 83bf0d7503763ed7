"""A chaos run: 1. start exchange and clients, 2. inject the faults, 3. heal and check liveness,
4. verify answers, views, webhooks and the audit."""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Final, get_args

from msgspec import Struct

from loadgen.client.record import RequestResult
from loadgen.client.setup import register, set_instruments
from loadgen.workload.orderflow import Profile
from loadgen.workload.orderflow import plan as order_plan
from schemas.rest import Registration
from services.runtime.errors import ExchangeError
from tests.chaos.checker import ClientHistory, market_of, verify, verify_webhooks
from tests.chaos.clients import Clients
from tests.chaos.cluster import RECEIVERS_LINK, Cluster, running_cluster
from tests.chaos.controls import kinds_of
from tests.chaos.fault_injector import FaultInjector, HealedGroup
from tests.chaos.liveness import liveness_failures
from tests.chaos.market_operator import MarketOperator
from tests.chaos.plan import ChaosPlan, ClockFault
from tests.chaos.report import Recovery, Report, answers_of
from tests.chaos.session_answers import WRONG_CLOCK
from tests.chaos.session_traders import SessionTraders
from tests.chaos.supervisor import ChaosSupervisor
from tests.chaos.webhook_receivers import WebhookReceivers

# Trading without faults before the first one.
WARM_UP_S: Final = 2.0
# Bound on the recovery from the last fault: a broker needs up to 10 s, services less.
RECOVERY_S_MAX: Final = 60.0
AUDIT_WAIT_S: Final = 90.0
# Bound on the trading that a run adds because a kind of market event has not occurred yet.
KINDS_S_MAX: Final = 40.0
# Average time of a fault group with its recovery, at most: orders are planned for that time.
GROUP_S_MAX: Final = 15
_POLL_S = 0.1

# Brokers that trade over order sessions and feeds, on symbols of their own.
SESSION_BROKERS: Final = 4
SESSION_SYMBOLS: Final = ("SESS1", "SESS2")
SESSION_ORDERS_PER_S: Final = 10

PrintLine = Callable[[str], None]


class Load(Struct, frozen=True):
    """Size of the load. The first broker has no webhook URL."""

    brokers: int = 6
    symbols: int = 12
    orders_per_s: int = 40


def run_chaos(
    plan: ChaosPlan, data_dir: Path, print_line: PrintLine, load: Load | None = None
) -> Report:
    """Run the plan on a new exchange. `print_line` is called with lines of text.

    Raises InfraError or ExchangeError if the exchange cannot be started.
    """
    print_line(f"seed {plan.seed}: {len(plan.faults)} faults; starting an exchange ...")
    if plan.command:
        print_line(f"repeat it with: {plan.command}")
    fills_disk = any(fault.kind == "fill_disk" for fault in plan.faults)
    with (
        WebhookReceivers() as webhook_receivers,
        running_cluster(data_dir, webhook_receivers.port, with_small_disk=fills_disk) as cluster,
    ):
        return _Run(cluster, webhook_receivers, plan, load or Load(), print_line).run()


class _Run:
    def __init__(
        self,
        cluster: Cluster,
        webhook_receivers: WebhookReceivers,
        plan: ChaosPlan,
        load: Load,
        print_line: PrintLine,
    ) -> None:
        self._cluster = cluster
        self._receivers = webhook_receivers
        self._plan = plan
        self._print_line = print_line
        self._supervisor = ChaosSupervisor(cluster, print_line)
        # Enough orders for faults that begin late; those left over are not sent.
        late_s = GROUP_S_MAX * len(plan.groups) if plan.one_by_one else 0
        profile = Profile(
            brokers=load.brokers,
            symbols=load.symbols,
            orders_per_s=load.orders_per_s,
            duration_s=3 * plan.duration_s + late_s + 120,
            ioc_percent=8,
            fok_percent=4,
            post_only_percent=6,
            minimum_percent=4,
            stop_percent=8,
            day_percent=6,
            iceberg_percent=10,
        )
        flow = order_plan(profile, plan.seed)
        stack = cluster.stack
        port = cluster.links[RECEIVERS_LINK].port
        self._brokers = self._registered(
            load.brokers,
            lambda number: webhook_receivers.url(number, port) if number else None,
        )
        asyncio.run(set_instruments(stack.url, stack.admin_key, flow.symbols))
        webhook_receivers.set_brokers(self._brokers)
        self._clients = Clients(stack.url, self._brokers, flow)
        self._operator = MarketOperator(stack.url, stack.admin_key, flow.symbols, plan.seed)
        keys = [each.api_key for each in self._registered(SESSION_BROKERS)]
        self._sessions = SessionTraders(
            stack.url, keys, SESSION_SYMBOLS, SESSION_ORDERS_PER_S, _late_refusals(plan)
        )
        self._injector = FaultInjector(cluster, self._supervisor, print_line, self._clients)

    def _registered(
        self, count: int, url_of: Callable[[int], str | None] = lambda _: None
    ) -> list[Registration]:
        stack = self._cluster.stack
        return asyncio.run(register(stack.url, stack.admin_key, count, url_of))

    def run(self) -> Report:
        with self._supervisor.watching():
            with (
                self._sessions.trading(),
                self._clients.trading(),
                self._operator.operating(),
            ):
                time.sleep(WARM_UP_S)
                healed = self._injector.inject_all(self._plan)
                self._injector.heal_all()
                self._print_line("all faults are healed; waiting for the next accepted order")
                recoveries = self._recoveries(healed)
                self._wait_for_every_kind()
            self._print_line("the clients are done; checking liveness ...")
            for figures in self._sessions.figures:
                self._print_line(f"session  {figures.line()}")
            not_live = [*self._supervisor.gave_up, *liveness_failures(self._cluster)]
            return self._report(recoveries, not_live)

    def _wait_for_every_kind(self) -> None:
        """Trade on until each kind of market event that a run must contain has occurred."""
        deadline = time.monotonic() + KINDS_S_MAX
        while time.monotonic() < deadline:
            # Topics that cannot be read are a failure of the verification that follows.
            with suppress(ExchangeError, AssertionError):
                if all(kinds_of(market_of(self._cluster.stack)).values()):
                    return
            time.sleep(1.0)

    def _recoveries(self, healed: list[HealedGroup]) -> list[Recovery]:
        deadline = time.monotonic() + RECOVERY_S_MAX
        while time.monotonic() < deadline:
            if self._clients.first_created_after(healed[-1].healed_us) is not None:
                break
            time.sleep(_POLL_S)
        found = []
        for each in healed:
            created_us = self._clients.first_created_after(each.healed_us)
            after_ms = None if created_us is None else (created_us - each.healed_us) // 1000
            ready_us = each.ready_us
            ready_ms = None if ready_us is None else (ready_us - each.healed_us) // 1000
            found.append(Recovery(each.group.faults, after_ms, ready_ms))
        return found

    def _report(self, recoveries: list[Recovery], not_live: list[str]) -> Report:
        records = self._clients.records
        self._print_line(f"verifying the answers to {len(records):,} requests ...")
        stack = self._cluster.stack
        history = ClientHistory(
            self._clients,
            self._brokers,
            self._plan.seed,
            self._injector.gateway_clock_wrong_us,
            self._operator.changes,
        )
        readers = (stack.url, stack.reader_url)
        found = verify(stack, history, readers, AUDIT_WAIT_S, self._print_line)
        self._print_line("verifying the webhooks ...")
        webhooks = verify_webhooks(stack, self._receivers, AUDIT_WAIT_S)
        return Report(
            seed=self._plan.seed,
            command=self._plan.command,
            duration_s=self._plan.duration_s,
            one_by_one=self._plan.one_by_one,
            recoveries=recoveries,
            answers=answers_of(records, self._others()),
            reconciliation=found.reconciliation,
            contradictions=found.contradictions,
            not_live=[
                *not_live,
                *found.view_differences,
                *self._sessions.findings,
                *self._operator.findings,
            ],
            webhooks=webhooks,
            unexpected_exits=self._supervisor.unexpected_exits(),
            stop_exits=self._injector.stop_exits,
            audit=found.audit,
            audit_holds=found.audit_holds,
            kinds=found.kinds,
        )

    def _others(self) -> dict[str, list[RequestResult]]:
        """The answers to requests without a record, by operation."""
        return {
            "replace": self._clients.replacements,
            "cancel_all": [each.answer for each in self._clients.mass_cancels],
            "market": [each.answer for each in self._operator.changes],
        }


def _late_refusals(plan: ChaosPlan) -> Collection[str]:
    """Codes of refusals that may follow a 202 on markets without rules of their own."""
    kinds = {fault.kind for fault in plan.faults if fault.target == "gateway"}
    return () if kinds.isdisjoint(get_args(ClockFault)) else (WRONG_CLOCK,)
