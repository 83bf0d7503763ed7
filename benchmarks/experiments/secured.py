"""`python -m benchmarks.experiments.secured`: cost of access control against an open exchange.

An open and a secured exchange, each with a separate Kafka and PostgreSQL, take the same flow in
turns within every round, so that other load on the machine affects both equally. Times count from
when a request was due; CPU is that of all processes of the exchange during its turn.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

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
from benchmarks.processes import pids
from loadgen.client.client import Job, LoadClient
from loadgen.client.record import ERROR_KINDS
from loadgen.client.setup import register
from loadgen.report.resources import Meter
from loadgen.workload.orderflow import Plan, plan
from loadgen.workload.profiles import NAMED, scaled
from services.local.exchange import LocalExchange, running_exchange
from services.local.signals import temporary_data_dir
from services.runtime.settings import Access, read_settings

# The first is the one that the other is compared with.
KINDS: tuple[Access, ...] = ("open", "secured")
# Kafka's JVM compiles its hot paths meanwhile.
WARM_UP_S = 10


class AccessVariant:
    """One exchange with its registered brokers."""

    def __init__(self, stack: LocalExchange, brokers: int) -> None:
        self._stack = stack
        registered = uvloop.run(register(stack.url, stack.admin_key, brokers))
        self._keys = tuple(broker.api_key for broker in registered)

    def __call__(self, flow: Plan) -> Turn:
        """Send the whole flow."""
        job = Job(self._stack.url, self._keys, tag=f"{os.urandom(4).hex()}-")
        client = LoadClient(job, flow)
        meter = Meter(pids(self._stack))
        uvloop.run(client.run())
        return requests_turn(
            client.records,
            lambda record: record.kind not in ERROR_KINDS,
            cpu_s=sum(spent.cpu_s for spent in meter.spent().values()),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if no request ended in an error."""
    options = _options(arguments)

    def measure(trial: Trial[Plan]) -> int:
        trial.warm_up(_flow(max(options.scales), WARM_UP_S))
        return sum(
            print_table(
                f"{scale:g} %", trial.measure(_flow(scale, options.seconds), options.rounds)
            )
            for scale in options.scales
        )

    return run_experiment("secured", partial(_trial, options.scales[0]), measure)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments.secured",
        description=__doc__,
        epilog="EXCHANGE_... settings apply to both exchanges. " + EXIT_CODES,
    )
    parser.add_argument(
        "--scales", type=float, nargs="+", default=[20.0, 100.0], help="per cent of B3"
    )
    parser.add_argument("--seconds", type=int, default=15, help="of one exchange in one round")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args(arguments)
    if min(options.seconds, options.rounds, *options.scales) <= 0:
        parser.error("scales, seconds and rounds must be more than 0")
    return options


def _flow(scale: float, seconds: int) -> Plan:
    return plan(scaled(NAMED["b3"], scale, seconds), seed=1)


@contextmanager
def _trial(scale: float) -> Iterator[Trial[Plan]]:
    """A variant for each kind of exchange, with its servers running."""
    flow = _flow(scale, 1)
    with ExitStack() as ending:
        folder = ending.enter_context(temporary_data_dir())
        yield Trial(
            {
                kind: AccessVariant(_started(kind, folder, flow, ending), flow.profile.brokers)
                for kind in KINDS
            }
        )


def _started(kind: Access, folder: Path, flow: Plan, ending: ExitStack) -> LocalExchange:
    sys.stderr.write(f"starting the {kind} exchange ...\n")
    # Settings from the environment, except the addresses of servers: each exchange starts its own.
    settings = structs.replace(
        read_settings(os.environ), port=0, access=kind, kafka="", database_url=""
    )
    return ending.enter_context(
        running_exchange(folder / kind, settings, profile="sustained", shares_ppm=flow.shares())
    )


if __name__ == "__main__":
    sys.exit(main())
