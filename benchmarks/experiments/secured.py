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
from pathlib import Path

import uvloop
from msgspec import structs

from benchmarks.soak.watch import pids
from infra.errors import InfraError
from loadgen.client.client import Job, LoadClient
from loadgen.client.record import ERROR_KINDS, RequestRecord
from loadgen.client.setup import SetupError, register
from loadgen.report.report import percentile
from loadgen.report.resources import Meter
from loadgen.workload.orderflow import Plan, plan
from loadgen.workload.profiles import NAMED, scaled
from services.local.exchange import Stack, running_exchange
from services.local.signals import quiet_kafka, stoppable, temporary_data_dir
from services.runtime.errors import ExchangeError
from services.runtime.settings import Access, read_settings

KINDS: tuple[Access, ...] = ("open", "secured")
WARM_UP_S = 10
EXIT_FAILED = 1
EXIT_INFRA = 3
EXIT_INTERRUPTED = 130


class Trial:
    """One exchange, and its answers at the measured rate."""

    def __init__(self, stack: Stack, brokers: int) -> None:
        self._stack = stack
        registered = uvloop.run(register(stack.url, stack.admin_key, brokers))
        self._keys = tuple(broker.api_key for broker in registered)
        self.lines: list[RequestRecord] = []
        self.cpu_s = 0.0

    def run(self, flow: Plan) -> None:
        """Send the whole flow and add its answers and CPU time to the totals."""
        job = Job(self._stack.url, self._keys, tag=f"{os.urandom(4).hex()}-")
        client = LoadClient(job, flow)
        meter = Meter(pids(self._stack))
        uvloop.run(client.run())
        self.cpu_s += sum(spent.cpu_s for spent in meter.spent().values())
        self.lines += client.records

    def forget(self) -> None:
        """Reset the totals."""
        self.lines, self.cpu_s = [], 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if no request ended in an error."""
    options = _options(arguments)
    quiet_kafka()
    errors = 0
    try:
        with stoppable(), _trials(options.scales[0]) as trials:
            for trial in trials.values():
                trial.run(_flow(max(options.scales), WARM_UP_S))
            for scale in options.scales:
                errors += _measure(trials, scale, options)
    except KeyboardInterrupt:
        sys.stderr.write("secured: interrupted; everything is stopped\n")
        return EXIT_INTERRUPTED
    except (InfraError, ExchangeError, SetupError) as error:
        sys.stderr.write(f"secured: {error}\n")
        return EXIT_INFRA
    return EXIT_FAILED if errors else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments.secured",
        description=__doc__,
        epilog="EXCHANGE_... settings hold for both. Whose turn it is not keeps asking Kafka: with "
        "EXCHANGE_FETCH_WAIT_MS=20 it leaves more of a small machine to the other. "
        "Exit codes: 0 done; 1 some requests ended in errors; 3 the servers cannot be had; "
        "130 interrupted.",
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
def _trials(scale: float) -> Iterator[dict[Access, Trial]]:
    """One trial per kind, with its servers running."""
    flow = _flow(scale, 1)
    with ExitStack() as ending:
        folder = ending.enter_context(temporary_data_dir())
        yield {
            kind: Trial(_started(kind, folder, flow, ending), flow.profile.brokers)
            for kind in KINDS
        }


def _started(kind: Access, folder: Path, flow: Plan, ending: ExitStack) -> Stack:
    sys.stderr.write(f"starting the {kind} exchange ...\n")
    # Settings from the environment, except the addresses of servers: each trial starts its own.
    settings = structs.replace(
        read_settings(os.environ), port=0, access=kind, kafka="", database_url=""
    )
    return ending.enter_context(
        running_exchange(folder / kind, settings, profile="sustained", shares_ppm=flow.shares())
    )


def _measure(trials: dict[Access, Trial], scale: float, options: argparse.Namespace) -> int:
    """The number of requests that ended in errors."""
    flow = _flow(scale, options.seconds)
    for trial in trials.values():
        trial.forget()
    for _ in range(options.rounds):
        for trial in trials.values():
            trial.run(flow)
    plain = trials["open"]
    errors = 0
    for kind, trial in trials.items():
        failed = sum(line.kind in ERROR_KINDS for line in trial.lines)
        times, least = _orders(trial), _orders(plain)
        told = [_told(times, least, per_mille) for per_mille in (500, 990)]
        cpu, cpu_least = (one.cpu_s / len(one.lines) * 1e6 for one in (trial, plain))
        told.append(f"CPU {cpu:6.0f} us a request ({cpu / cpu_least:4.2f} x open)")
        if failed:
            told.append(f"{failed} ERRORS")
        sys.stdout.write(f"{scale:>5g} %  {kind:<8} {'   '.join(told)}\n")
        sys.stdout.flush()
        errors += failed
    return errors


def _orders(trial: Trial) -> list[int]:
    return sorted(line.latency_us for line in trial.lines if line.operation == "order")


def _told(times: Sequence[int], least: Sequence[int], per_mille: int) -> str:
    time_us, least_us = (percentile(found, per_mille) for found in (times, least))
    return f"order p{per_mille // 10} {time_us / 1_000:7.1f} ms ({time_us / least_us:4.2f} x open)"


if __name__ == "__main__":
    sys.exit(main())
