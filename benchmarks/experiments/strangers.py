"""`python -m benchmarks.experiments.strangers`: brokers' orders while strangers do their worst.

Brokers send orders at a steady rate. In turns no other client calls (`calm`), or eight clients
without a valid key do, one kind at a time. Times count from when an order was due. Strangers run
only while a processor is idle, as if they had another machine, so only their effect on the exchange
is measured. The kind `computing` opens no connection; it shows the cost of their processor time.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import uvloop
from msgspec import structs

from benchmarks.experiments.stranger_clients import KINDS
from benchmarks.experiments.trial import (
    EXIT_CODES,
    Trial,
    Turn,
    print_table,
    requests_turn,
    run_experiment,
)
from infra.process import ChildProcess
from loadgen.client.client import Job, LoadClient
from loadgen.client.setup import register
from loadgen.workload.orderflow import Plan, Profile, plan
from services.local.exchange import LocalExchange, running_exchange
from services.local.signals import temporary_data_dir
from services.runtime.settings import Settings

CALM = "calm"
BROKERS = 20
WARM_UP_S = 5
# The strangers begin before the first order and end after the last one.
LEAD_S = 2.0
_LATE_S = 5.0


class StrangersTarget:
    """An exchange with its limits on strangers as in production, and its registered brokers."""

    def __init__(self, stack: LocalExchange) -> None:
        self._stack = stack
        registered = uvloop.run(register(stack.url, stack.admin_key, BROKERS))
        self._keys = tuple(broker.api_key for broker in registered)

    def run(self, flow: Plan) -> Turn:
        """Send every order of the flow."""
        client = LoadClient(Job(self._stack.url, self._keys, f"{os.urandom(4).hex()}-"), flow)
        uvloop.run(client.run())
        return requests_turn(client.records, lambda record: record.kind == "ok")

    def run_beside(self, kind: str, flow: Plan) -> Turn:
        """The same beside strangers of one kind."""
        port = self._stack.url.rsplit(":", 1)[1]
        seconds = flow.profile.duration_s + 2 * LEAD_S
        strangers = ChildProcess(
            [
                sys.executable,
                "-m",
                "benchmarks.experiments.stranger_clients",
                *(kind, port, str(self._stack.probes["gateway"]), str(seconds)),
            ],
            log_file=self._stack.log_dir / "strangers.log",
            env=dict(os.environ),
        )
        strangers.start()
        try:
            return self.run(flow)
        finally:
            # It ends by itself, and then prints its calls.
            if not strangers.wait(2 * LEAD_S + _LATE_S):
                strangers.kill()
            sys.stderr.write(f"{kind}: {strangers.tail_of_log(1)}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if every order was accepted."""
    options = _options(arguments)
    profile = Profile(brokers=BROKERS, orders_per_s=options.rate, cancels_per_53_orders=0)

    def measure(trial: Trial[Plan]) -> int:
        trial.warm_up(plan(structs.replace(profile, duration_s=WARM_UP_S), seed=2), CALM)
        flow = plan(structs.replace(profile, duration_s=options.seconds), seed=1)
        return print_table(f"{options.rate:,}/s", trial.measure(flow, options.rounds))

    return run_experiment("strangers", partial(_trial, options.kinds), measure)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments.strangers", description=__doc__, epilog=EXIT_CODES
    )
    parser.add_argument("--rate", type=int, default=200, help="orders per second")
    parser.add_argument("--seconds", type=int, default=10, help="of one turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=tuple(KINDS))
    options = parser.parse_args(arguments)
    if min(options.rate, options.seconds, options.rounds) <= 0:
        parser.error("rate, seconds and rounds must be more than 0")
    return options


@contextmanager
def _trial(kinds: Sequence[str]) -> Iterator[Trial[Plan]]:
    """A variant for each kind of strangers, on one exchange; a calm turn before each of them."""
    with (
        temporary_data_dir() as data_dir,
        # The limit of failed keys, which `exchange run` lifts, as it is in production.
        running_exchange(data_dir, Settings(port=0, failed_keys=60), profile="sustained") as stack,
    ):
        target = StrangersTarget(stack)
        beside = {kind: partial(target.run_beside, kind) for kind in kinds}
        turns = [name for kind in beside for name in (CALM, kind)]
        yield Trial({CALM: target.run, **beside}, turns)


if __name__ == "__main__":
    sys.exit(main())
