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
from functools import partial

import uvloop
from msgspec import structs

from benchmarks.experiments.trial import (
    EXIT_CODES,
    Trial,
    Turn,
    print_table,
    requests_turn,
    run_experiment,
)
from infra.ports import free_port
from infra.process import ChildProcess
from loadgen.client.client import Job, LoadClient
from loadgen.client.setup import register, require_ready
from loadgen.workload.orderflow import Plan, Profile, plan
from services.local.child_environment import environment
from services.local.exchange import LocalExchange, running_exchange
from services.local.signals import temporary_data_dir
from services.runtime.settings import Settings

VICTIMS = ("matcher", "reader", "sink")
# The reference: no process is dead.
ALL_RUNNING = "none"
BROKERS = 20
# A restarted matcher or reader catches up with the command log first.
READY_TIMEOUT_S = 60.0
# Enough for connections and caches of this small flow.
WARM_UP_S = 3


class OutageTarget:
    """An exchange with separate ingest and reader processes, any of which can be killed."""

    def __init__(self, stack: LocalExchange) -> None:
        self._stack = stack
        self._reader_url = f"http://127.0.0.1:{free_port()}"
        stack.stop("gateway")
        del stack.services["gateway"]
        self._start("reader", self._reader_url)
        self._start("ingest", stack.url)
        registered = uvloop.run(register(stack.url, stack.admin_key, BROKERS))
        self._keys = tuple(broker.api_key for broker in registered)

    def run(self, flow: Plan) -> Turn:
        """Send every order of the flow."""
        tag = f"{os.urandom(4).hex()}-"
        job = Job(self._stack.url, self._keys, tag, respond_async=True)
        client = LoadClient(job, flow)
        uvloop.run(client.run())
        return requests_turn(client.records, lambda record: record.kind == "ok")

    def run_without(self, victim: str, flow: Plan) -> Turn:
        """The same while `victim` is dead; afterwards everything runs again."""
        self._stack.services[victim].kill()
        try:
            return self.run(flow)
        finally:
            self._stack.start(victim)
            if victim == "reader":
                require_ready(self._reader_url, READY_TIMEOUT_S)
            else:
                self._stack.wait_ready(victim, READY_TIMEOUT_S)

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
        require_ready(url, READY_TIMEOUT_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if every order was accepted."""
    options = _options(arguments)
    profile = Profile(brokers=BROKERS, orders_per_s=options.rate, cancels_per_53_orders=0)

    def measure(trial: Trial[Plan]) -> int:
        trial.warm_up(plan(structs.replace(profile, duration_s=WARM_UP_S), seed=2), ALL_RUNNING)
        flow = plan(structs.replace(profile, duration_s=options.seconds), seed=1)
        return print_table(f"{options.rate:,}/s", trial.measure(flow, options.rounds))

    return run_experiment("outage", _trial, measure)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments.outage", description=__doc__, epilog=EXIT_CODES
    )
    parser.add_argument("--rate", type=int, default=300, help="orders per second")
    parser.add_argument("--seconds", type=int, default=10, help="of one outage")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    if min(options.rate, options.seconds, options.rounds) <= 0:
        parser.error("rate, seconds and rounds must be more than 0")
    return options


@contextmanager
def _trial() -> Iterator[Trial[Plan]]:
    """A variant for each dead process, on one exchange."""
    with (
        temporary_data_dir() as data_dir,
        running_exchange(data_dir, Settings(port=0), profile="sustained") as stack,
    ):
        target = OutageTarget(stack)
        dead = {f"{name} dead": partial(target.run_without, name) for name in VICTIMS}
        turns = [name for outage in dead for name in (ALL_RUNNING, outage)]
        try:
            yield Trial({ALL_RUNNING: target.run, **dead}, turns)
        finally:
            target.close()


if __name__ == "__main__":
    sys.exit(main())
