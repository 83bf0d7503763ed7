"""`python -m benchmarks.experiments.batches`: orders in batches against single ones, in turns.

Orders alone, as many as the exchange takes: a fixed number of requests is under way at any time,
and the next one leaves when one is answered. Sizes take turns within every round, so that other
load on the machine affects all of them equally.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Final

from msgspec import Struct

from benchmarks.experiments.trial import EXIT_CODES, run_experiment
from loadgen.client.client import Job
from loadgen.client.session import Session
from loadgen.client.target import Target, fresh_exchange
from loadgen.client.workers import Workers
from loadgen.workload.orderflow import Plan, Profile, plan
from services.runtime.progress import Progress, progress_on_stderr

GIVE_UP_S: Final = 10.0
BROKERS: Final = 20
SYMBOLS: Final = 50


class TurnRate(Struct, frozen=True):
    """One turn: orders a second, and CPU for each order by process, the generator's included."""

    orders_per_s: float
    failed: int
    cpu_us: Mapping[str, float]


class OrderSender:
    """Sends orders in requests of a size, `requests` of them at once."""

    def __init__(self, target: Target, keys: tuple[str, ...], requests: int) -> None:
        self._target = target
        self._keys = keys
        self._requests = requests
        self._workers = Workers(1, target.pids, GIVE_UP_S, lambda _: None)

    def send(self, flow: Plan, size: int) -> TurnRate:
        """Send the flow, and wait for all answers."""
        tag = f"{os.urandom(4).hex()}-"
        job = Job(
            self._target.url, self._keys, tag, in_flight_max=self._requests * size, batch=size
        )
        ran = self._workers.run(job, flow)
        ended_s = max(line.done_us for line in ran.records) / 1_000_000
        first, last = ran.samples[0].usage, ran.samples[-1].usage
        cpu_us = {
            name: (used.cpu_s - first[name].cpu_s) * 1e6 / ran.sent for name, used in last.items()
        }
        failed = sum(line.kind != "ok" for line in ran.records)
        return TurnRate(ran.sent / ended_s, failed, cpu_us)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if every order was accepted."""
    options = _options(arguments)

    def measure(orders: OrderSender) -> int:
        found: dict[int, list[TurnRate]] = {size: [] for size in options.sizes}
        for _ in range(options.rounds + 1):
            for size in options.sizes:
                flow = orders_only(options.orders * (1 if size == 1 else options.more))
                found[size].append(orders.send(flow, size))
        # The first round warms up caches and compilers.
        return _print({size: rates[1:] for size, rates in found.items()})

    return run_experiment("batches", lambda: _orders(options.requests), measure)


def orders_only(count: int) -> Plan:
    """So many orders, without cancels and reads."""
    profile = Profile(
        brokers=BROKERS,
        symbols=SYMBOLS,
        orders_per_s=count,
        duration_s=1,
        cancels_per_53_orders=0,
        valid_short_percent=0,
        valid_seconds_percent=0,
    )
    return plan(profile, 1)


def _print(found: Mapping[int, Sequence[TurnRate]]) -> int:
    reference = median(rate.orders_per_s for rate in next(iter(found.values())))
    for size, rates in found.items():
        each = sorted(rate.orders_per_s for rate in rates)
        names = sorted(rates[0].cpu_us)
        costs = [f"{name} {median(rate.cpu_us[name] for rate in rates):.0f}" for name in names]
        sys.stdout.write(
            f"{size:>4} a request   {median(each):8,.0f} orders/s ({each[0]:,.0f}-{each[-1]:,.0f})"
            f"   {median(each) / reference:5.2f} x   us of CPU an order: {', '.join(costs)}\n"
        )
    return sum(rate.failed for rates in found.values() for rate in rates)


@contextmanager
def _orders(requests: int) -> Iterator[OrderSender]:
    """A fresh exchange with brokers."""
    flow = orders_only(1)
    with progress_on_stderr() as progress, fresh_exchange(flow.shares(), progress.say) as target:
        yield OrderSender(target, _keys(target, flow, progress), requests)


def _keys(target: Target, flow: Plan, progress: Progress) -> tuple[str, ...]:
    session = Session(target, progress, 1, GIVE_UP_S)
    session.prepare(flow.profile, flow.seed)
    return tuple(broker.api_key for broker in session.brokers)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments.batches", description=__doc__, epilog=EXIT_CODES
    )
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=[1, 20], help="orders in a request (1 20)")
    add("--orders", type=int, default=10_000, help="of a turn of single orders")
    add("--more", type=int, default=4, help="times as many in a turn of batches")
    add("--requests", type=int, default=64, help="at once")
    add("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    if min(options.orders, options.more, options.requests, options.rounds, *options.sizes) <= 0:
        parser.error("every number must be more than 0")
    return options


if __name__ == "__main__":
    sys.exit(main())
