"""`python -m benchmarks.cost`: the cost of requests by process, and what larger markets need.

Each load runs on a fresh exchange, beside a second gateway that gets no requests.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from benchmarks.cost.model import SPARE, MarketSize, MeasuredLoad, ProcessCost
from benchmarks.cost.table import computed, measured
from benchmarks.processes import one_more
from infra.errors import InfraError
from loadgen.capacity import find_capacity
from loadgen.client.session import Session
from loadgen.client.setup import SetupError
from loadgen.client.target import fresh_stack, target_of
from loadgen.client.workers import INTERRUPTED, WorkersError
from loadgen.report.machine import Machine, commit, this_machine
from loadgen.report.summary import Summary
from loadgen.run import RunOptions, TargetSpec, measure
from loadgen.search import Search
from loadgen.workload.orderflow import Plan, plan
from loadgen.workload.profiles import B3, scaled
from services.local.signals import quiet_kafka, stoppable, temporary_data_dir
from services.runtime.errors import ExchangeError
from services.runtime.progress import Progress, progress_on_stderr

SEED: Final = 1
GIVE_UP_S: Final = 10.0
WARM_UP_S: Final = 10
CAPACITY_START: Final = 100.0
CAPACITY_MOST: Final = 3_200.0
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130


class CostReport(Struct, frozen=True):
    """Content of the file of `--json`."""

    machine: Machine
    commit: str
    market: MarketSize
    loads: list[MeasuredLoad]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when every load was measured."""
    options = _options(arguments)
    quiet_kafka()
    loads: list[MeasuredLoad] = []
    exit_code = 0
    try:
        with stoppable(), temporary_data_dir() as folder, progress_on_stderr() as progress:
            # One by one, so that an interruption keeps the complete loads.
            for load in _loads(options, folder, progress):
                loads.append(load)
    except KeyboardInterrupt:
        sys.stderr.write("cost: interrupted; everything is stopped\n")
        exit_code = EXIT_INTERRUPTED
    except (InfraError, ExchangeError, SetupError, WorkersError, OSError) as error:
        sys.stderr.write(f"cost: {error}\n")
        exit_code = EXIT_FAILED
    if loads:
        _report(loads, options.json)
    return exit_code


def _report(loads: list[MeasuredLoad], file: Path | None) -> None:
    market = _market()
    durability = os.environ.get("EXCHANGE_DURABILITY", "fsync")
    sys.stdout.write(f"{this_machine()}\ncommit {commit()}, durability {durability}\n\n")
    for line in (*measured(loads), "", *computed(loads[-1], market)):
        sys.stdout.write(line + "\n")
    if file:
        raw = msgspec.json.encode(CostReport(this_machine(), commit(), market, loads))
        file.write_bytes(msgspec.json.format(raw, indent=2) + b"\n")


def _loads(options: argparse.Namespace, folder: Path, progress: Progress) -> Iterator[MeasuredLoad]:
    for scale in options.scales:
        yield _load(f"{scale:g} %", scale, options.seconds, folder / f"{scale:g}", progress)
    if options.capacity:
        search = Search(CAPACITY_START, CAPACITY_MOST)
        spec, run_options = TargetSpec(None, None, {}), _run_options()
        # A step as short as that of `loadgen capacity`.
        found = find_capacity(
            lambda scale: _flow(scale, 20), search, spec, run_options, folder / "search", progress
        )
        if found.scale is not None:
            name = f"capacity, {found.scale:g} %"
            yield _load(name, found.scale, options.seconds, folder / "capacity", progress)


def _load(name: str, scale: float, seconds: int, folder: Path, progress: Progress) -> MeasuredLoad:
    flow = _flow(scale, seconds)
    progress.say(f"{name} of B3:")
    with (
        fresh_stack(flow.shares(), progress.say) as stack,
        one_more(stack, "gateway", "spare-gateway") as spare,
    ):
        target = target_of(stack)
        target.pids[SPARE] = spare.pid
        session = Session(target, progress, 1, GIVE_UP_S)
        session.prepare(flow.profile, flow.seed)
        found = measure(session, flow, _run_options().at(scale), folder, progress)
    if found.why == INTERRUPTED:
        raise KeyboardInterrupt
    return load_of(name, scale, found)


def load_of(name: str, scale: float, found: Summary) -> MeasuredLoad:
    """The figures of a run that the cost model uses."""
    orders = found.figures.latency_us["order"]
    costs = {
        process: ProcessCost(cost.cpu_s * 1e6 / max(1, found.done), cost.memory_bytes_max)
        for process, cost in found.processes.items()
        if not process.startswith("sender")
    }
    return MeasuredLoad(
        name=name,
        scale=scale,
        done_per_s=found.done_per_s,
        order_p50_ms=orders.p50 / 1_000,
        order_p99_ms=orders.p99 / 1_000,
        valid=found.valid and found.complete and not found.errors,
        processes=costs,
    )


def _flow(scale: float, seconds: int) -> Plan:
    return plan(scaled(B3, scale, seconds), SEED)


def _market() -> MarketSize:
    flow = _flow(100.0, 10)
    top_share = max(flow.shares_ppm) / sum(flow.shares_ppm)
    return MarketSize(len(flow.actions) / flow.profile.duration_s, top_share)


def _run_options() -> RunOptions:
    return RunOptions(None, 1, WARM_UP_S, GIVE_UP_S, audit=False, thresholds=())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cost",
        description=__doc__,
        epilog="Exit codes: 0 done; 1 an exchange could not be started or used; 2 usage; "
        "130 interrupted; the loads that were measured are printed in any case. "
        "EXCHANGE_DURABILITY selects the durability.",
    )
    add = parser.add_argument
    add("--scales", type=float, nargs="+", default=[25.0, 100.0, 200.0], help="in per cent of B3")
    add("--seconds", type=int, default=60, help="of each load")
    add(
        "--capacity", action=argparse.BooleanOptionalAction, default=True,
        help="find the largest load with p99 of orders within 50 ms, and measure there too",
    )  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(arguments)
    if min(options.seconds, *options.scales) <= 0:
        parser.error("seconds and scales must be more than 0")
    return options


if __name__ == "__main__":
    sys.exit(main())
