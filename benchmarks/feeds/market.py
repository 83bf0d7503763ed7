"""A fresh exchange with brokers and filled books, and its market, once or in turns."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from msgspec import Struct, structs

from benchmarks.feeds.figures import FeedFigure, times
from benchmarks.processes import metrics
from loadgen.client.client import Transport
from loadgen.client.session import Session
from loadgen.client.setup import SetupError
from loadgen.client.target import target_of
from loadgen.client.workers import INTERRUPTED, RunResult
from loadgen.report.resources import Meter, Usage
from loadgen.workload.orderflow import Plan, Profile, plan
from loadgen.workload.profiles import B3, scaled
from services.local.exchange import LocalExchange, running_exchange
from services.local.signals import temporary_data_dir
from services.runtime.progress import Progress
from services.runtime.settings import read_settings

GIVE_UP_S: Final = 10.0
WARM_UP_S: Final = 5
IDLE_S: Final = 5.0
SEED: Final = 1
GATEWAY: Final = "gateway"
FLUSHES: Final = "exchange_stream_flush_seconds_bucket"


class FeedsRun(Struct, frozen=True):
    """Parameters of all lines. `scale` in per cent of B3; None: that of the line's budget."""

    seconds: int
    scale: float | None
    rounds: int
    streams: int
    idle: int


class LoadedMarket:
    """The exchange and its market at a scale. `stack` has its processes."""

    def __init__(self, stack: LocalExchange, flow: Plan, progress: Progress) -> None:
        self.stack = stack
        self.flow = flow
        self.progress = progress
        self.session = Session(target_of(stack), progress, 1, GIVE_UP_S)
        self.session.prepare(flow.profile, flow.seed)
        self.session.warm_up(flow.profile, flow.seed, WARM_UP_S)

    @property
    def keys(self) -> tuple[str, ...]:
        """The brokers' keys."""
        return tuple(broker.api_key for broker in self.session.brokers)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, the most traded first."""
        shares = self.flow.shares()
        return tuple(sorted(shares, key=lambda each: -shares[each]))

    def by(self, transport: Transport, batch: int = 1) -> Session:
        """A session of the same brokers that sends orders in another way."""
        target = self.session.target
        other = Session(target, self.progress, 1, GIVE_UP_S, batch, transport)
        other.brokers = self.session.brokers
        return other

    def run(self, what: str, session: Session | None = None) -> "MarketTurn":
        """Send the whole flow. Raises SetupError if it was not answered."""
        meter = self.meter()
        ran = (session or self.session).run(self.flow, what)
        if ran.why == INTERRUPTED:
            raise KeyboardInterrupt
        if ran.why:
            raise SetupError(f"{what}: {ran.why}")
        self.session.forget_answers()
        return MarketTurn(ran, meter.spent()[GATEWAY])

    def meter(self) -> Meter:
        """Usage of the gateway from now on."""
        return Meter({GATEWAY: self.stack.services[GATEWAY].pid})

    def idle_share(self) -> float:
        """Cores that the gateway uses while no order arrives."""
        meter = self.meter()
        time.sleep(IDLE_S)
        return meter.spent()[GATEWAY].cpu_s / IDLE_S

    def flushes(self) -> dict[float, float]:
        """Slices of flushes so far, by upper bound of their seconds."""
        return {
            float(each.labels["le"]): each.value
            for each in metrics(self.stack, GATEWAY)
            if each.name == FLUSHES
        }


class MarketTurn(Struct, frozen=True):
    """One run of the flow, and what it cost the gateway."""

    ran: RunResult
    gateway: Usage

    @property
    def orders_us(self) -> list[int]:
        """Latencies of orders, from when they were due."""
        return [each.latency_us for each in self.ran.records if each.operation == "order"]

    @property
    def gateway_share(self) -> float:
        """Per cent of a core that the gateway used."""
        return self.gateway.cpu_s / self.ran.plan.profile.duration_s * 100

    @property
    def gateway_us(self) -> float:
        """CPU of the gateway for each request."""
        return self.gateway.cpu_s * 1e6 / self.ran.sent

    def gateway_us_beyond(self, idle_share: float) -> float:
        """CPU of the gateway for each request, beyond what it uses while no order arrives."""
        idle_s = idle_share * self.ran.plan.profile.duration_s
        return (self.gateway.cpu_s - idle_s) * 1e6 / self.ran.sent


def orders_of(line: str, name: str, turns: Sequence[MarketTurn]) -> list[FeedFigure]:
    """p50 and p99 of the orders of some turns."""
    every = [each for turn in turns for each in turn.orders_us]
    return times(line, f"orders {name}", every, {500: None, 990: None})


@contextmanager
def market(
    wanted: FeedsRun,
    scale: float,
    progress: Progress,
    *,
    profile: Profile = B3,
    streams_max: int | None = None,
) -> Iterator[LoadedMarket]:
    """A market at a scale, or at that of the options, on a fresh exchange."""
    flow = plan(scaled(profile, wanted.scale or scale, wanted.seconds), SEED)
    settings = structs.replace(read_settings(os.environ), port=0)
    if streams_max is not None:
        settings = structs.replace(settings, streams_max=streams_max)
    progress.say("starting a fresh exchange ...")
    with (
        temporary_data_dir() as data_dir,
        running_exchange(
            data_dir,
            structs.replace(settings, data_dir=data_dir),
            profile="sustained",
            shares_ppm=flow.shares(),
        ) as stack,
    ):
        yield LoadedMarket(stack, flow, progress)
