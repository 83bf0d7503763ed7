"""`loadgen`: measures how many requests an exchange carries, and at which latency."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence

from infra.errors import InfraError
from loadgen.capacity import find_capacity
from loadgen.capacity import lines_of as lines_of_capacity
from loadgen.client.setup import SetupError
from loadgen.client.workers import WorkersError
from loadgen.options import (
    UsageError,
    flow_at,
    flow_of,
    make_place,
    options_of,
    parse,
    profile_of,
    search_of,
)
from loadgen.report.compare import comparison
from loadgen.report.files import read_summary
from loadgen.report.summary import EXIT_INTERRUPTED, SummaryError, lines_of
from loadgen.run import run_flow
from loadgen.watch import watch as watch_flow
from loadgen.workload.plan_file import PlanFileError, write_plan
from services.local.signals import quiet_kafka, stoppable
from services.runtime.errors import ExchangeError
from services.runtime.progress import progress_on_stderr

EXIT_USAGE = 2
EXIT_INFRA = 3


def run(given: argparse.Namespace) -> int:
    """`loadgen run`."""
    options = options_of(given)
    flow, scale = flow_of(given)
    make_place(options.folder)
    if given.plan_out is not None:
        write_plan(given.plan_out, flow)
    run_options = options.run_options.at(scale)
    with progress_on_stderr() as progress:
        found = run_flow(flow, options.target_spec, run_options, options.folder, progress)
    _print(lines_of(found))
    _print([f"report      {options.folder}/report.html"])
    return found.exit_code


def watch(given: argparse.Namespace) -> int:
    """`loadgen watch`."""
    options = options_of(given)
    flow, scale = flow_of(given)
    make_place(options.folder)
    with progress_on_stderr() as progress:
        watch_flow(
            flow, options.target_spec, options.run_options.at(scale), options.folder, progress
        )
    return 0


def capacity(given: argparse.Namespace) -> int:
    """`loadgen capacity`."""
    options = options_of(given)
    profile = profile_of(given)
    search = search_of(given)
    make_place(options.folder)
    with progress_on_stderr() as progress:
        found = find_capacity(
            lambda scale: flow_at(scale, given, profile),
            search,
            options.target_spec,
            options.run_options,
            options.folder,
            progress,
        )
    _print(lines_of_capacity(found))
    _print([f"report      {options.folder}/capacity.json"])
    return found.exit_code


def compare(given: argparse.Namespace) -> int:
    """`loadgen compare`."""
    _print(comparison(read_summary(given.a), read_summary(given.b)))
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": run,
    "watch": watch,
    "capacity": capacity,
    "compare": compare,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = parse(arguments)
    quiet_kafka()
    try:
        with stoppable():
            return COMMANDS[given.command](given)
    except KeyboardInterrupt:
        return _failed("interrupted; everything is stopped", EXIT_INTERRUPTED)
    except (UsageError, PlanFileError, SummaryError) as error:
        return _failed(str(error), EXIT_USAGE)
    except ExchangeError as error:
        return _failed(str(error), error.exit_code)
    except (InfraError, SetupError, WorkersError, OSError) as error:
        return _failed(str(error), EXIT_INFRA)


def _failed(why: str, exit_code: int) -> int:
    sys.stderr.write(f"loadgen: {why}\n")
    return exit_code


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
