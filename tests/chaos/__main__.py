"""`python -m tests.chaos`: the command line of a chaos run."""

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import msgspec

from infra.errors import InfraError
from loadgen.client.setup import SetupError
from services.local.signals import quiet_kafka, stoppable, temporary_data_dir
from services.runtime.errors import ExchangeError
from tests.chaos.plan import (
    DEFAULT_FAULTS,
    EXTRA_FAULTS,
    TARGETS,
    ChaosPlan,
    FaultSelection,
    chaos_plan,
)
from tests.chaos.run import run_chaos

# Gives the seed to chaos runs that are started by pytest or make.
SEED_VARIABLE = "CHAOS_SEED"
EXIT_FAILED = 1
EXIT_INFRA = 3
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run chaos with the options of the command line; the exit code."""
    options, plan = read_options(arguments)
    quiet_kafka()
    try:
        with stoppable(), _data_dir(options.keep) as data_dir:
            report = run_chaos(plan, data_dir, _print)
    except KeyboardInterrupt:
        _print("interrupted; everything is stopped")
        return EXIT_INTERRUPTED
    except (ExchangeError, InfraError, SetupError) as error:
        _print(f"chaos: {error}\nrepeat it with: {plan.command}")
        return EXIT_INFRA
    for line in report.lines():
        sys.stdout.write(line + "\n")
    if options.json is not None:
        found = msgspec.to_builtins(report) | {
            "passed": report.passed,
            "failures": report.failures,
            "by_target": msgspec.to_builtins(report.by_target),
        }
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return 0 if report.passed else EXIT_FAILED


def read_options(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, ChaosPlan]:
    """The options and the plan. Ends the program if they are invalid."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    if options.faults is None:
        options.faults = max(1, options.duration // 8)
    if options.keep is not None and options.keep.exists():
        parser.error(f"{options.keep} exists already")
    kinds = (*(options.kinds or DEFAULT_FAULTS), *options.also)
    targets = tuple(options.targets)
    selection = FaultSelection(tuple(dict.fromkeys(kinds)), targets, options.one_by_one)
    try:
        return options, chaos_plan(options.seed, options.duration, options.faults, selection)
    except ValueError as error:
        parser.error(str(error))


def _names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = list(dict.fromkeys(text.split(",")))
        if unknown := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)}; known are {', '.join(known)}"
            )
        return found

    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Injects random faults into a new exchange under load: programs are killed, "
        "frozen, stopped; links are cut, stalled, slowed; clocks are set wrong; a foreign program "
        "writes on the topics. Then checks that everything works and every answer is true.",
        epilog="Exit codes: 0 passed; 1 something is lost, duplicated, contradictory or not live, "
        "or the audit failed; 2 usage; 3 the exchange cannot be started; 130 interrupted.",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=os.environ.get(SEED_VARIABLE),
        help=f"repeats plan and load; default: {SEED_VARIABLE} of the environment, else random",
    )
    parser.add_argument("--duration", type=int, default=120, help="seconds of fault injection")
    parser.add_argument("--faults", type=int, help="number of faults; default: one in 8 seconds")
    parser.add_argument(
        "--kinds",
        type=_names_of((*DEFAULT_FAULTS, *EXTRA_FAULTS)),
        default=[],
        metavar="KIND,...",
        help=f"inject only these kinds: {', '.join((*DEFAULT_FAULTS, *EXTRA_FAULTS))}",
    )
    parser.add_argument(
        "--targets",
        type=_names_of(TARGETS),
        default=[],
        metavar="TARGET,...",
        help=f"disturb only these, each equally often: {', '.join(TARGETS)}",
    )
    parser.add_argument(
        "--one-by-one",
        action="store_true",
        help="short faults, one at a time, each as soon as the exchange has recovered (every "
        "service ready, an order accepted) instead of at fixed times",
    )
    parser.add_argument(
        "--also",
        action="append",
        choices=EXTRA_FAULTS,
        default=[],
        help="inject this kind as well. fill_disk: Kafka's disk, then a tmpfs, is full. supersede: "
        "a second matcher takes over from a frozen one; public records may then be duplicated",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="run in this new directory and keep it: logs, data"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON too")
    return parser


def _data_dir(keep: Path | None) -> AbstractContextManager[Path]:
    return temporary_data_dir() if keep is None else nullcontext(keep)


def _print(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
