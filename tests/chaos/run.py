"""A chaos run: 1. the exchange and its clients, 2. the strikes, 3. all healed: is it alive,
4. the tally and the audit."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from loadgen.client.setup import register
from loadgen.workload.orderflow import Profile, plan
from tests.chaos.checker import Heard, judge, told_everybody
from tests.chaos.clients import Clients
from tests.chaos.cluster import RECEIVERS_LINK, Cluster, running_arena
from tests.chaos.fault_injector import FaultInjector, Healed
from tests.chaos.liveness import not_live
from tests.chaos.plan import ChaosPlan
from tests.chaos.report import Recovery, Report, answers_of
from tests.chaos.supervisor import ChaosSupervisor
from tests.chaos.webhook_receivers import WebhookReceivers

# What the market does before the first strike and, at most, until it is well after the last.
CALM_S: Final = 2.0
WELL_S: Final = 60.0
AUDIT_WAIT_S: Final = 90.0
# A strike and its recovery, on average, at most; orders are planned for so long.
ONE_BY_ONE_S: Final = 15
_POLL_S = 0.1

Tell = Callable[[str], None]


class Load(Struct, frozen=True):
    """What the clients do. One of the brokers has no URL."""

    brokers: int = 6
    symbols: int = 12
    orders_per_s: int = 40


def run_chaos(strikes: ChaosPlan, data_dir: Path, tell: Tell, load: Load | None = None) -> Report:
    """Raises InfraError, ExchangeError when the exchange cannot be started."""
    faults = [fault for strike in strikes.strikes for fault in strike.faults]
    tell(f"seed {strikes.seed}: {len(faults)} faults; starting an exchange ...")
    fills_disk = any(fault.kind == "fill_disk" for fault in faults)
    with (
        WebhookReceivers() as webhook_receivers,
        running_arena(data_dir, webhook_receivers.port, with_small_disk=fills_disk) as cluster,
    ):
        return _Run(cluster, webhook_receivers, strikes, load or Load(), tell).run()


class _Run:
    def __init__(
        self,
        cluster: Cluster,
        webhook_receivers: WebhookReceivers,
        plan_: ChaosPlan,
        load: Load,
        tell: Tell,
    ) -> None:
        self._cluster = cluster
        self._listeners = webhook_receivers
        self._plan = plan_
        self._tell = tell
        self._keeper = ChaosSupervisor(cluster, tell)
        # Long enough for strikes that are late; what is left over is not sent.
        late_s = ONE_BY_ONE_S * len(plan_.strikes) if plan_.one_by_one else 0
        profile = Profile(
            brokers=load.brokers,
            symbols=load.symbols,
            orders_per_s=load.orders_per_s,
            duration_s=3 * plan_.duration_s + late_s + 120,
        )
        self._flow = plan(profile, plan_.seed)
        stack = cluster.stack
        port = cluster.links[RECEIVERS_LINK].port
        self._brokers = asyncio.run(
            register(
                stack.url,
                stack.admin_key,
                load.brokers,
                lambda number: webhook_receivers.url(number, port) if number else None,
            )
        )
        webhook_receivers.know(self._brokers)
        self._crowd = Clients(stack.url, self._brokers, self._flow)
        self._striker = FaultInjector(cluster, self._keeper, tell, self._crowd)

    def run(self) -> Report:
        with self._keeper.watching():
            with self._crowd.trading():
                time.sleep(CALM_S)
                healed = self._striker.strike_all(self._plan)
                self._striker.heal_all()
                self._tell("all healed; waiting for the market")
                recoveries = self._recoveries(healed)
            self._tell("clients are done; is everything alive?")
            dead = [*self._keeper.gave_up, *not_live(self._cluster)]
            return self._report(recoveries, dead)

    def _recoveries(self, healed: list[Healed]) -> list[Recovery]:
        deadline = time.monotonic() + WELL_S
        while time.monotonic() < deadline:
            if self._crowd.first_created_after(healed[-1].healed_us) is not None:
                break
            time.sleep(_POLL_S)
        found = []
        for each in healed:
            created_us = self._crowd.first_created_after(each.healed_us)
            after = None if created_us is None else (created_us - each.healed_us) // 1000
            ready_us = each.ready_us
            ready = None if ready_us is None else (ready_us - each.healed_us) // 1000
            found.append(Recovery(each.strike.faults, after, ready))
        return found

    def _report(self, recoveries: list[Recovery], dead: list[str]) -> Report:
        records = self._crowd.records
        self._tell(f"auditing what became of {len(records):,} requests ...")
        stack = self._cluster.stack
        heard = Heard(self._crowd, self._brokers, self._plan.seed)
        verdict = judge(stack, heard, (stack.url, stack.reader_url), AUDIT_WAIT_S, self._tell)
        self._tell("was every broker told of every trade?")
        notices = told_everybody(stack, self._listeners, AUDIT_WAIT_S)
        return Report(
            seed=self._plan.seed,
            duration_s=self._plan.duration_s,
            one_by_one=self._plan.one_by_one,
            recoveries=recoveries,
            answers=answers_of(records),
            reconciliation=verdict.reconciliation,
            contradictions=verdict.contradictions,
            not_live=[*dead, *verdict.not_shown],
            notices=notices,
            ended=self._keeper.ended_by_themselves(),
            stops=self._striker.stops,
            audit=verdict.audit,
            audit_holds=verdict.audit_holds,
        )
