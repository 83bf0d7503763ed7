"""`python -m benchmarks --against PATH`: this checkout and another one, measured in turns."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.against.checkout import Checkout, CheckoutError, checkout_at, this_checkout
from benchmarks.against.kinds import KINDS, KindOptions
from benchmarks.against.rounds import run_rounds
from benchmarks.against.rows import Against, Figures, compared, missing, table
from infra.errors import InfraError
from loadgen.report.machine import commit, this_machine
from services.local.signals import quiet_kafka, stoppable, temporary_data_dir
from services.runtime.progress import Progress, progress_on_stderr

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when every round was measured, whichever checkout is better."""
    options = _options(arguments)
    quiet_kafka()
    try:
        sides = this_checkout(), checkout_at(options.against, options.python)
    except CheckoutError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return EXIT_USAGE
    started = datetime.now(UTC).isoformat(timespec="seconds")
    pairs: list[tuple[Figures, Figures]] = []
    exit_code = 0
    try:
        with stoppable(), temporary_data_dir() as folder, progress_on_stderr() as progress:
            # One by one, so that an interruption keeps the complete rounds.
            for pair in _rounds(options, sides, folder, progress):
                pairs.append(pair)
    except KeyboardInterrupt:
        sys.stderr.write("benchmarks: interrupted; everything is stopped\n")
        exit_code = EXIT_INTERRUPTED
    except (CheckoutError, InfraError, OSError) as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        exit_code = EXIT_FAILED
    found = Against(
        complete=not exit_code,
        rounds=len(pairs),
        started=started,
        machine=this_machine(),
        this_commit=commit(sides[0].root),
        other_commit=commit(sides[1].root),
        rows=compared(pairs),
        only_this=missing(pairs, 0),
        only_other=missing(pairs, 1),
    )
    for line in table(found):
        sys.stdout.write(line + "\n")
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    return exit_code


def _rounds(
    options: argparse.Namespace, sides: tuple[Checkout, Checkout], folder: Path, progress: Progress
) -> Iterator[tuple[Figures, Figures]]:
    kind_options = KindOptions(
        tuple(options.only), options.repeats, options.full, options.scale, options.seconds
    )
    kinds = [(name, KINDS[name]) for name in options.kind]
    return run_rounds(sides, kinds, kind_options, progress, count=options.rounds, folder=folder)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures this checkout and another one in turns on this machine, and prints "
        "medians, spread and ratio of each figure. Single kinds of benchmarks are "
        "python -m benchmarks.micro, .comparison, .soak, .webhooks and .experiments.*.",
        epilog="A row is `better` or `worse` if this checkout was so in every one of at least 5 "
        "rounds. Exit codes: 0 "
        "every round was measured; 1 a program failed; 2 usage; 130 interrupted.",
    )
    add, defaults = parser.add_argument, KindOptions()
    add("--against", type=Path, required=True, metavar="PATH", help="the other checkout")
    add(
        "--python",
        type=Path,
        metavar="FILE",
        help="the other checkout's interpreter; default its .venv, else this interpreter",
    )
    add(
        "--kind",
        nargs="+",
        choices=KINDS,
        default=["micro"],
        help="micro: single operations; start: until ready, then idle; load: a steady load; "
        "capacity: the largest load within 50 ms (default micro)",
    )
    add("--rounds", type=int, default=7, help="of both checkouts (default %(default)s)")
    add(
        "--only",
        nargs="+",
        default=list(defaults.only),
        metavar="NAME",
        help="operations by name or prefix (default: edge engine matcher)",
    )
    add("--repeats", type=int, default=defaults.repeats, help="of an operation in a round")
    add("--full", action="store_true", help="the full curves of the operations")
    add("--scale", type=float, default=defaults.scale, help="load, in per cent of B3 (60)")
    add("--seconds", type=int, default=defaults.seconds, help="of a load, an idle time (30)")
    add("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.repeats, options.scale, options.seconds) <= 0:
        parser.error("rounds, repeats, scale and seconds must be more than 0")
    if options.json and (not options.json.resolve().parent.is_dir() or options.json.is_dir()):
        parser.error(f"{options.json}: no file can be written there")
    return options


if __name__ == "__main__":
    sys.exit(main())
