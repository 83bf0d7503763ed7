"""Command line of `loadgen`: parsed, checked and converted to a run's options."""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from msgspec import Struct

from infra.process_table import is_running
from loadgen.client.client import Transport
from loadgen.report.threshold import ThresholdError, threshold
from loadgen.run import RunOptions, TargetSpec
from loadgen.search import SCALE_LEAST, Search
from loadgen.workload.orderflow import Plan, Profile, plan
from loadgen.workload.plan_file import read_plan
from loadgen.workload.profiles import NAMED, ProfileError, profile_from, scaled
from schemas.batch import BATCH_ITEMS_MAX

SCALE_DEFAULT = 100.0
SEED_DEFAULT = 1
REPORTS = Path(".local/loadgen")
EPILOG = (
    "Exit codes: 0 done; 1 errors, an incomplete run, or the audit fails; 2 usage; 3 the exchange "
    "cannot be started, reached or used; 98 INVALID: the load generator itself was late; 99 a "
    "threshold is not met; 130 interrupted."
)


class UsageError(Exception):
    """The command line is invalid; the text names the correct form."""


class Options(Struct, frozen=True):
    """Options shared by the commands that send requests."""

    target_spec: TargetSpec
    run_options: RunOptions
    folder: Path


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="loadgen",
        description="Measures the load an exchange carries, in per cent of B3, and its latency.",
        epilog=EPILOG,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = _command(commands, "run", "send one flow at one scale, and write a report")
    _flow_options(run, "the profile's")
    run.add_argument("--scale", type=float, help="per cent of B3; 100, the default: 700 orders/s")
    run.add_argument(
        "--plan-out", type=Path, metavar="FILE", help="write the schedule to this file"
    )
    run.add_argument("--plan-in", type=Path, metavar="FILE", help="send the schedule of this file")
    _run_options(run)
    capacity = _command(commands, "capacity", "find the largest scale within the latency bound")
    _flow_options(capacity, "20", 20)
    capacity.add_argument("--start", type=float, default=25.0, help="scale of the first step")
    capacity.add_argument("--most", type=float, default=3_200.0, help="largest scale to try")
    _run_options(capacity)
    watch = _command(commands, "watch", "send flows until Ctrl-C, to look at on the page")
    _flow_options(watch, "a minute for each flow")
    watch.add_argument("--scale", type=float, help="per cent of B3; 100, the default: 700 orders/s")
    _run_options(watch)
    watch.set_defaults(plan_in=None)
    compare = _command(commands, "compare", "print two reports side by side, with ratios")
    compare.add_argument("a", type=Path, help="folder of a report, or its summary.json")
    compare.add_argument("b", type=Path)
    return top


def options_of(given: argparse.Namespace) -> Options:
    """Parse common options. Raises UsageError."""
    if given.url and not given.admin_key:
        raise UsageError("--url needs --admin-key, or EXCHANGE_ADMIN_KEY")
    if given.url and not _is_http(given.url):
        raise UsageError(f"--url {given.url}: write http://HOST:PORT")
    if not 1 <= given.processes <= 64:  # noqa: PLR2004
        raise UsageError("--processes must be from 1 to 64")
    if not 1 <= given.batch <= BATCH_ITEMS_MAX:
        raise UsageError(f"--batch must be from 1 to {BATCH_ITEMS_MAX}")
    if given.batch > 1 and given.transport == "session":
        raise UsageError("--batch is for --transport http: a session needs no batches")
    if given.streams < 0:
        raise UsageError("--streams must be 0 or more")
    if given.warm_up < 0 or given.give_up <= 0:
        raise UsageError("--warm-up must be 0 or more, --give-up more than 0")
    try:
        thresholds = tuple(threshold(text) for text in given.threshold)
    except ThresholdError as error:
        raise UsageError(f"--threshold: {error}") from error
    run_options = RunOptions(
        None,
        given.processes,
        given.warm_up,
        given.give_up,
        given.audit,
        thresholds,
        given.batch,
        given.transport,
        given.streams,
    )
    stamp = time.strftime("%Y%m%d-%H%M%S")
    target_spec = TargetSpec(given.url, given.admin_key, dict(_pid(text) for text in given.pid))
    return Options(target_spec, run_options, given.report or REPORTS / stamp)


def make_place(folder: Path) -> None:
    """Check the report's folder before measuring, so that no result is lost. Raises UsageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report {folder}: {error.strerror}") from error


def profile_of(given: argparse.Namespace) -> Profile:
    """The profile at 100 per cent. Raises UsageError."""
    name = given.profile or "b3"
    found = NAMED.get(name)
    if found is None:
        try:
            found = profile_from(Path(name).read_bytes())
        except OSError as error:
            raise UsageError(
                f"--profile {name}: {error.strerror}; it is one of {', '.join(NAMED)}, or a file"
            ) from error
        except ProfileError as error:
            raise UsageError(f"--profile {name}: {error}") from error
    return found


def flow_of(given: argparse.Namespace) -> tuple[Plan, float | None]:
    """The plan of `run`, and its scale if known. Raises UsageError, PlanFileError."""
    exclusive = {"--scale": given.scale, "--duration": given.duration, "--seed": given.seed}
    exclusive["--profile"] = given.profile
    if given.plan_in is not None:
        if clash := [name for name, value in exclusive.items() if value is not None]:
            raise UsageError(f"--plan-in contains the whole schedule: leave out {', '.join(clash)}")
        return read_plan(given.plan_in), None
    scale = SCALE_DEFAULT if given.scale is None else given.scale
    return flow_at(scale, given, profile_of(given)), scale


def flow_at(scale: float, given: argparse.Namespace, profile: Profile) -> Plan:
    """The flow at this scale. Raises UsageError."""
    if not 0 < scale < float("inf"):
        raise UsageError("--scale must be more than 0 per cent")
    if given.duration is not None and given.duration < 1:
        raise UsageError("--duration must be at least 1 second")
    seed = SEED_DEFAULT if given.seed is None else given.seed
    try:
        return plan(scaled(profile, scale, given.duration), seed)
    except ValueError as error:
        raise UsageError(f"--profile {given.profile}: {error}") from error


def search_of(given: argparse.Namespace) -> Search:
    """Parse thresholds. Raises UsageError."""
    if not SCALE_LEAST <= given.start <= given.most < float("inf"):
        raise UsageError(f"--start must be at least {SCALE_LEAST:g}, and no more than --most")
    return Search(given.start, given.most)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=EPILOG
    )


def _flow_options(
    command: argparse.ArgumentParser, default_text: str, duration_s: int | None = None
) -> None:
    command.add_argument(
        "--profile",
        metavar="NAME|FILE",
        help=f"mix and shape: {', '.join(NAMED)}, or a JSON file of the fields that differ from b3",
    )
    command.add_argument(
        "--duration",
        type=int,
        metavar="S",
        default=duration_s,
        help=f"seconds; default {default_text}",
    )
    command.add_argument("--seed", type=int, help="seed of the flow; default 1")


def _run_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--url", help="a running exchange; without it a fresh one is started")
    add("--admin-key", default=os.environ.get("EXCHANGE_ADMIN_KEY"), help="its admin key")
    add(
        "--pid", action="append", default=[], metavar="NAME=PID",
        help="report the CPU and memory of this process; may be repeated",
    )  # fmt: skip
    add("--processes", type=int, default=1, metavar="N", help="sending processes; default 1")
    add(
        "--batch", type=int, default=1, metavar="N",
        help="send each broker's orders N at a time (POST /orders/batch); default 1: singly",
    )  # fmt: skip
    add(
        "--transport", choices=get_args(Transport), default="http",
        help="how orders and cancels are sent; session: one WebSocket for each broker",
    )  # fmt: skip
    add(
        "--streams", type=int, default=0, metavar="N",
        help="keep so many live feeds open meanwhile: 90 %% pages, 9 %% algorithms, 1 %% brokers",
    )  # fmt: skip
    add("--warm-up", type=int, default=5, metavar="S", help="unmeasured seconds before; default 5")
    add(
        "--report", type=Path, metavar="DIR", help=f"folder of the report; default {REPORTS}/<time>"
    )
    add(
        "--audit", action=argparse.BooleanOptionalAction, default=True,
        help="compare the command log and all derived data with the answers to brokers",
    )  # fmt: skip
    add(
        "--threshold", action="append", default=[], metavar="T",
        help="fail unless this holds, such as 'p99(order)<50ms', 'max(send_lag)<5ms' or "
        "'errors<1%%'; may be repeated",
    )  # fmt: skip
    add(
        "--give-up", type=float, default=10.0, metavar="S",
        help="end the run after this many seconds without any answer; default 10",
    )  # fmt: skip


def _pid(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdecimal() or not is_running(int(number)):
        raise UsageError(f"--pid {text}: write NAME=PID, of a running process")
    return name, int(number)


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and bool(parts.hostname) and (parts.port or 80) > 0
    except ValueError:
        return False


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Exit with 2 on an invalid command line."""
    return parser().parse_args(arguments)
