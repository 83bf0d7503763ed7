"""`python -m benchmarks.feeds LINE ...`: budgets of live feeds, queries and order sessions.

streams: standard streams beside the market, and slices of flushes. events: from an outcome's record
to its message at a client. idle: streams in which nothing happens. stalled: a reader that stalls at
three times the load. queries: pages of orders and candles. sessions: orders by WebSocket and in
batches against single calls. Every line has a fresh exchange and the market of `loadgen run`.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.feeds.figures import SCHEMA_VERSION, FeedFigure, FeedsReport, table
from benchmarks.feeds.lines import LINES
from benchmarks.feeds.market import FeedsRun
from infra.errors import InfraError
from loadgen.client.setup import SetupError
from loadgen.client.workers import WorkersError
from loadgen.report.machine import commit, this_machine
from services.local.signals import quiet_kafka, stoppable
from services.runtime.errors import ExchangeError
from services.runtime.progress import progress_on_stderr

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when every line was measured, whether or not its budgets hold."""
    options = _options(arguments)
    wanted = FeedsRun(options.seconds, options.scale, options.rounds, options.streams, options.idle)
    quiet_kafka()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    figures: list[FeedFigure] = []
    exit_code = 0
    try:
        with stoppable(), progress_on_stderr() as progress:
            for name in options.lines:
                # One by one, so that an interruption keeps the complete lines.
                found = LINES[name](wanted, progress)
                figures += found
                sys.stdout.write("".join(f"{row}\n" for row in table(found)))
                sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("feeds: interrupted; everything is stopped\n")
        exit_code = EXIT_INTERRUPTED
    except (InfraError, ExchangeError, SetupError, WorkersError, OSError) as error:
        sys.stderr.write(f"feeds: {error}\n")
        exit_code = EXIT_FAILED
    if options.json and figures:
        report = FeedsReport(
            SCHEMA_VERSION, this_machine(), commit(), started, wanted.scale, wanted.seconds,
            wanted.streams, figures,
        )  # fmt: skip
        raw = msgspec.json.format(msgspec.json.encode(report), indent=2)
        options.json.write_bytes(raw + b"\n")
    return exit_code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.feeds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit codes: 0 every line was measured; 1 an exchange could not be started or "
        "used; 2 usage; 130 interrupted.\nEXCHANGE_DURABILITY selects the durability.",
    )
    add = parser.add_argument
    add("lines", nargs="+", choices=tuple(LINES), metavar="LINE", help=", ".join(LINES))
    add("--seconds", type=int, default=30, help="of the market in each turn; default 30")
    add("--rounds", type=int, default=3, help="turns with and without, where they alternate; 3")
    add("--scale", type=float, help="per cent of B3; default that of the line's budget")
    add("--streams", type=int, default=1_000, help="standard streams; default 1000")
    add("--idle", type=int, default=10_000, help="idle streams; default 10000")
    add("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(arguments)
    numbers = (options.seconds, options.rounds, options.streams, options.idle)
    if min(numbers) <= 0 or (options.scale is not None and options.scale <= 0):
        parser.error("every number must be more than 0")
    return options


if __name__ == "__main__":
    sys.exit(main())
