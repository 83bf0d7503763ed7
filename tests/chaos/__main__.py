"""`python -m tests.chaos`: the command line of a chaos run."""

import argparse
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
    EXTRA_FAULTS,
    TARGETS,
    USUAL_FAULTS,
    ChaosPlan,
    Choice,
    chaos_plan,
)
from tests.chaos.run import run_chaos

EXIT_WRONG = 1
EXIT_INFRA = 3
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options, strikes = _options(arguments)
    quiet_kafka()
    try:
        with stoppable(), _data_dir(options.keep) as data_dir:
            report = run_chaos(strikes, data_dir, _say)
    except KeyboardInterrupt:
        _say("interrupted; everything is stopped")
        return EXIT_INTERRUPTED
    except (ExchangeError, InfraError, SetupError) as error:
        _say(f"chaos: {error}")
        return EXIT_INFRA
    for line in report.lines():
        sys.stdout.write(line + "\n")
    if options.json is not None:
        found = msgspec.to_builtins(report) | {
            "holds": report.holds,
            "wrong": report.wrong,
            "struck": msgspec.to_builtins(report.struck),
        }
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return 0 if report.holds else EXIT_WRONG


def _options(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, ChaosPlan]:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    if options.faults is None:
        options.faults = max(1, options.duration // 8)
    if options.keep is not None and options.keep.exists():
        parser.error(f"{options.keep} exists already")
    kinds = (*(options.kinds or USUAL_FAULTS), *options.also)
    choice = Choice(tuple(dict.fromkeys(kinds)), tuple(options.targets), options.one_by_one)
    try:
        return options, chaos_plan(options.seed, options.duration, options.faults, choice)
    except ValueError as error:
        parser.error(str(error))


def _named(known: Collection[str]) -> Callable[[str], list[str]]:
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
        description="Strikes a fresh exchange under load with faults from a seed: programs are "
        "killed, frozen, stopped; links are cut, stalled, slowed. Then everything must be alive, "
        "and every answer that a client got must be true.",
        epilog="Exit codes: 0 all holds; 1 lost, doubled, not live, or the audit found something; "
        "2 usage; 3 the exchange cannot be started; 130 interrupted.",
    )
    parser.add_argument("--seed", type=int, help="repeats plan and flow; drawn if not given")
    parser.add_argument("--duration", type=int, default=120, help="seconds of strikes")
    parser.add_argument("--faults", type=int, help="how many; one in 8 seconds if not given")
    parser.add_argument(
        "--kinds",
        type=_named((*USUAL_FAULTS, *EXTRA_FAULTS)),
        default=[],
        metavar="KIND,...",
        help=f"draw only these: {', '.join((*USUAL_FAULTS, *EXTRA_FAULTS))}",
    )
    parser.add_argument(
        "--targets",
        type=_named(TARGETS),
        default=[],
        metavar="TARGET,...",
        help=f"strike only these, each equally often: {', '.join(TARGETS)}",
    )
    parser.add_argument(
        "--one-by-one",
        action="store_true",
        help="short faults, one at a time, each as soon as the one before is recovered (every "
        "service ready, an order taken) instead of by time",
    )
    parser.add_argument(
        "--also",
        action="append",
        choices=EXTRA_FAULTS,
        default=[],
        help="draw this as well. fill_disk: Kafka's disk, then a tmpfs, is full. usurp: a second "
        "matcher takes over from a frozen one; public records may then be there twice",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="run in this new directory and leave it: logs"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    return parser


def _data_dir(keep: Path | None) -> AbstractContextManager[Path]:
    return temporary_data_dir() if keep is None else nullcontext(keep)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
