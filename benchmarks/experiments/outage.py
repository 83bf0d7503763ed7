"""`python -m benchmarks.experiments.outage`: orders accepted while one process is dead.

Ingest alone takes orders and answers each when it is in the command log (`Prefer: respond-async`).
Matcher, reader and sink are killed in turn; between two outages everything runs, so that other load
on the machine affects both equally. Times count from when an order was due.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvloop
from msgspec import structs

from infra.errors import InfraError
from infra.ports import free_port
from infra.process import ChildProcess
from loadgen.client.client import Job, LoadClient
from loadgen.client.record import RequestRecord
from loadgen.client.setup import SetupError, register, require_ready
from loadgen.report.report import percentile
from loadgen.workload.orderflow import Plan, Profile, plan
from services.local.child_environment import environment
from services.local.exchange import Stack, running_exchange
from services.local.signals import quiet_kafka, temporary_data_dir
from services.runtime.errors import ExchangeError
from services.runtime.settings import Settings

VICTIMS = ("matcher", "reader", "sink")
BROKERS = 20
READY_S = 60.0
WARM_UP_S = 3
EXIT_FAILED = 1
EXIT_INFRA = 3


class Trial:
    """An exchange with separate ingest and reader processes."""

    def __init__(self, stack: Stack, flow: Plan) -> None:
        self._stack = stack
        self._flow = flow
        self._reader_url = f"http://127.0.0.1:{free_port()}"
        stack.stop("gateway")
        del stack.services["gateway"]
        self._start("reader", self._reader_url)
        self._start("ingest", stack.url)
        registered = uvloop.run(register(stack.url, stack.admin_key, BROKERS))
        self._keys = tuple(broker.api_key for broker in registered)

    def run(self, flow: Plan | None = None) -> list[RequestRecord]:
        """Send every order of the given flow, or of the trial's flow; returns the answers."""
        tag = f"{os.urandom(4).hex()}-"
        job = Job(self._stack.url, self._keys, tag, respond_async=True)
        client = LoadClient(job, flow or self._flow)
        uvloop.run(client.run())
        return list(client.records)

    def without(self, victim: str) -> list[RequestRecord]:
        """The same while `victim` is dead; afterwards everything runs again."""
        self._stack.services[victim].kill()
        try:
            return self.run()
        finally:
            self._stack.start(victim)
            if victim == "reader":
                require_ready(self._reader_url, READY_S)
            else:
                self._stack.wait_ready(victim, READY_S)

    def close(self) -> None:
        """Stop the processes started here; the stack stops the others."""
        for name in ("ingest", "reader"):
            self._stack.stop(name)

    def _start(self, name: str, url: str) -> None:
        settings = structs.replace(
            self._stack.settings_of(name),
            port=int(url.rsplit(":", 1)[1]),
            reader_url=self._reader_url,
        )
        child = self._stack.services[name] = ChildProcess(
            [sys.executable, "-m", f"services.{name}"],
            log_file=self._stack.log_dir / f"{name}.log",
            env=environment(os.environ, settings, {"EXCHANGE_ADMIN_KEY": self._stack.admin_key}),
            cwd=self._stack.data_dir,
        )
        child.start()
        require_ready(url, READY_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if every order was accepted."""
    options = _options(arguments)
    quiet_kafka()
    profile = Profile(brokers=BROKERS, orders_per_s=options.rate, cancels_per_53_orders=0)
    try:
        with _trial(plan(structs.replace(profile, duration_s=options.seconds), seed=1)) as trial:
            trial.run(plan(structs.replace(profile, duration_s=WARM_UP_S), seed=2))
            return EXIT_FAILED if _measure(trial, options.rounds) else 0
    except (InfraError, ExchangeError, SetupError) as error:
        sys.stderr.write(f"outage: {error}\n")
        return EXIT_INFRA


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments.outage", description=__doc__
    )
    parser.add_argument("--rate", type=int, default=300, help="orders per second")
    parser.add_argument("--seconds", type=int, default=10, help="of one outage")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    if min(options.rate, options.seconds, options.rounds) <= 0:
        parser.error("rate, seconds and rounds must be more than 0")
    return options


@contextmanager
def _trial(flow: Plan) -> Iterator[Trial]:
    with (
        temporary_data_dir() as data_dir,
        running_exchange(data_dir, Settings(port=0), profile="sustained") as stack,
    ):
        trial = Trial(stack, flow)
        try:
            yield trial
        finally:
            trial.close()


def _measure(trial: Trial, rounds: int) -> int:
    """The number of orders that were not accepted."""
    found: dict[str, list[RequestRecord]] = {"nobody": [], **{victim: [] for victim in VICTIMS}}
    for _ in range(rounds):
        for victim in VICTIMS:
            found["nobody"] += trial.run()
            found[victim] += trial.without(victim)
    normal = _times(found["nobody"])
    refused = 0
    for dead, lines in found.items():
        accepted = sum(line.kind == "ok" for line in lines)
        refused += len(lines) - accepted
        times = _times(lines)
        told = "   ".join(
            f"p{per_mille // 10} {percentile(times, per_mille) / 1_000:6.1f} ms "
            f"({percentile(times, per_mille) / percentile(normal, per_mille):.2f} x)"
            for per_mille in (500, 990)
        )
        sys.stdout.write(f"{dead:<8} dead: {accepted:,} of {len(lines):,} accepted   {told}\n")
    return refused


def _times(lines: Sequence[RequestRecord]) -> list[int]:
    return sorted(line.latency_us for line in lines)


if __name__ == "__main__":
    sys.exit(main())
