"""Computes what multiples of a market would need from the measured cost of its requests. Pure.

Costs are microseconds of CPU for each request. They count as constant: batches that grow with the
load make them smaller, larger books and more brokers make them larger.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

GATEWAY: Final = "gateway"
# A second gateway without requests shows the cost of applying all outcomes, which each one has.
SPARE: Final = "gateway without requests"
MATCHER: Final = "matcher"
SINK: Final = "sink"
WEBHOOKS: Final = "webhooks"
KAFKA: Final = "Kafka"
POSTGRES: Final = "PostgreSQL"
# Costs that belong to the exchange, in the order of the tables.
PROCESSES: Final = (GATEWAY, MATCHER, KAFKA, SINK, POSTGRES, WEBHOOKS)

# Above this utilisation the waiting times of bursts, and with them p99, multiply.
BUSY_MAX: Final = 0.6
# Assumed of a Kafka cluster: every record is stored by three brokers.
REPLICAS: Final = 3
BROKER_CORES: Final = 8
_SECOND_US: Final = 1_000_000


class ProcessCost(Struct, frozen=True):
    """Of one process: CPU for each request of the market, and its largest memory."""

    cpu_us: float
    memory_bytes: int


class MeasuredLoad(Struct, frozen=True):
    """One measurement. `scale` in per cent of B3; `done_per_s`: all kinds of requests."""

    name: str
    scale: float
    done_per_s: float
    order_p50_ms: float
    order_p99_ms: float
    valid: bool
    processes: Mapping[str, ProcessCost]

    def us(self, name: str) -> float:
        """CPU of a process for each request; 0 if it was not measured."""
        cost = self.processes.get(name)
        return 0.0 if cost is None else cost.cpu_us

    @property
    def total_us(self) -> float:
        """CPU of the whole exchange for each request."""
        return sum(self.us(name) for name in PROCESSES)


class MarketSize(Struct, frozen=True):
    """Requests a second of the whole market, and the largest symbol's share of its orders."""

    requests_per_s: float
    top_share: float


class Limit(Struct, frozen=True):
    """A stage that more processes do not relieve, and the multiple of the market it carries."""

    stage: str
    multiple: float


class Need(Struct, frozen=True):
    """Processes and cores for a multiple of the market.

    `gateways` is 0 where no number of them suffices.
    """

    multiple: float
    requests_per_s: float
    gateways: int
    matchers: int
    brokers: int
    cores: Mapping[str, float]
    exceeded: Sequence[str]


def limits(load: MeasuredLoad, market: MarketSize) -> list[Limit]:
    """The stages that are not divided among processes, the first to break first."""
    stages = {
        "each gateway applies every outcome": load.us(SPARE),
        "the most traded symbol has one matcher": load.us(MATCHER) * market.top_share,
        "one sink stores every outcome": load.us(SINK),
        "one connection of PostgreSQL writes every row": load.us(POSTGRES),
    }
    found = [
        Limit(stage, BUSY_MAX / _cores(us, market.requests_per_s))
        for stage, us in stages.items()
        if us > 0
    ]
    return sorted(found, key=lambda limit: limit.multiple)


def need(load: MeasuredLoad, market: MarketSize, multiple: float) -> Need:
    """Processes and cores of a multiple of the market, none of them busier than BUSY_MAX."""
    rate = market.requests_per_s * multiple
    applying = _cores(load.us(SPARE), rate)
    answering = max(0.0, _cores(load.us(GATEWAY), rate) - applying)
    room = BUSY_MAX - applying
    gateways = math.ceil(max(answering, 1e-9) / room) if room > 0 else 0
    cores = {name: _cores(load.us(name), rate) for name in PROCESSES}
    cores[GATEWAY] = answering + gateways * applying
    cores[KAFKA] *= REPLICAS
    return Need(
        multiple=multiple,
        requests_per_s=rate,
        gateways=gateways,
        matchers=math.ceil(cores[MATCHER] / BUSY_MAX),
        brokers=max(REPLICAS, math.ceil(cores[KAFKA] / (BROKER_CORES * BUSY_MAX))),
        cores=cores,
        exceeded=[limit.stage for limit in limits(load, market) if limit.multiple < multiple],
    )


def _cores(us: float, rate: float) -> float:
    return us * rate / _SECOND_US
