"""`python -m benchmarks.soak`: a day of a whole market through a fresh exchange, then recovery.

1. a fresh exchange, 2. its brokers, 3. the flow into the command log while matcher, gateway and
sink follow, 4. recoveries on that log, 5. figures. Everything that it started ends with it.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.soak.day import DayOptions, require_disk, run_day
from benchmarks.soak.errors import DayError
from benchmarks.soak.flow import BROKERS, ORDERS, SYMBOLS, shares_of
from benchmarks.soak.recovery import STEPS, Limits
from benchmarks.soak.report import as_text
from benchmarks.soak.write import Pace
from infra.errors import InfraError
from loadgen.client.setup import SetupError
from services.local.exchange import running_exchange
from services.local.signals import quiet_kafka, stoppable, temporary_data_dir
from services.runtime.errors import ExchangeError
from services.runtime.progress import progress_on_stderr
from services.runtime.settings import Settings

EXIT_INFRA = 3
EXIT_INTERRUPTED = 130
EXIT_FAILED = 1
# A bound that even a slow, shared machine keeps.
COMMANDS_PER_S_LEAST = 2_000
# Recovery has no producers to wait for.
RECOVERED_PER_S_LEAST = 10_000
# Covers start-up, which does not shrink with a shorter day.
BOUND_S_LEAST = 300


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if everything that was requested succeeded."""
    options = _options(arguments)
    quiet_kafka()
    try:
        with stoppable(), _folder(options.data_dir, keep=options.keep) as folder:
            require_disk(folder, options.orders)
            return _day(folder, options)
    except KeyboardInterrupt:
        _say("interrupted; everything is stopped")
        return EXIT_INTERRUPTED
    except (DayError, InfraError, SetupError, ExchangeError) as error:
        _say(f"soak: {error}")
        return EXIT_INFRA


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Runs a day of a whole market through a fresh exchange, then its recoveries.",
        epilog="Exit codes: 0 every step succeeded; 1 one failed; 2 usage; 3 the exchange cannot "
        "be started, or the disk is too small; 130 interrupted.",
    )
    add = parser.add_argument
    add("--orders", type=int, default=ORDERS, help="orders of the day (default %(default)s)")
    add("--seed", type=int, default=1, help="seed of the flow")
    add("--data-dir", type=Path, help="empty or new folder for all data (default: a temporary one)")
    add("--keep", action="store_true", help="do not delete the data at the end")
    add(
        "--lag-max", type=int, default=500_000, help="commands that may be unprocessed; 0: no limit"
    )
    add("--snapshot-every", type=int, default=Settings().snapshot_every, help="commands")
    add("--every", type=float, default=5.0, help="seconds between two samples")
    add("--steps", default=",".join(STEPS), help="recoveries (default %(default)s); empty: none")
    add("--bound", type=float, help="seconds for the flow (default: by its size)")
    add("--step-bound", type=float, help="seconds for each recovery (default: by the size)")
    add("--memory", type=int, default=8_192, help="MiB; the run ends when a process is larger")
    add("--json", type=Path, help="write the report to this file")
    options = parser.parse_args(arguments)
    options.steps = tuple(name for name in options.steps.split(",") if name)
    if unknown := set(options.steps) - set(STEPS):
        parser.error(f"unknown steps {', '.join(sorted(unknown))}; known are {', '.join(STEPS)}")
    if min(options.orders, options.every, options.memory) <= 0:
        parser.error("orders, every and memory must be more than 0")
    if min(options.lag_max, options.snapshot_every) < 0:
        parser.error("lag-max and snapshot-every must not be less than 0")
    if options.json and not options.json.resolve().parent.is_dir():
        parser.error(f"{options.json}: no file can be written there")
    return options


def _day(folder: Path, options: argparse.Namespace) -> int:
    commands = options.orders * 72 // 53
    bound_s = options.bound or BOUND_S_LEAST + commands / COMMANDS_PER_S_LEAST
    step_s = options.step_bound or BOUND_S_LEAST + commands / RECOVERED_PER_S_LEAST
    day_options = DayOptions(
        orders=options.orders,
        seed=options.seed,
        brokers=BROKERS,
        symbols=SYMBOLS,
        every_s=options.every,
        pace=Pace(options.lag_max, bound_s, options.memory),
        steps=options.steps,
        limits=Limits(step_s, options.memory),
    )
    settings = Settings(port=0, durability="process", snapshot_every=options.snapshot_every)
    _say("starting a fresh exchange ...")
    with (
        running_exchange(
            folder, settings, profile="sustained", shares_ppm=shares_of(SYMBOLS)
        ) as stack,
        progress_on_stderr() as progress,
    ):
        report = run_day(stack, day_options, progress)
    for line in as_text(report):
        sys.stdout.write(line + "\n")
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 0 if report.holds else EXIT_FAILED


@contextmanager
def _folder(wanted: Path | None, *, keep: bool) -> Iterator[Path]:
    """The data folder. It is deleted at the end, except a folder that is to be kept."""
    if wanted is None and not keep:
        with temporary_data_dir() as folder:
            yield folder
        return
    folder = (wanted or Path("day")).resolve()
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DayError(f"{folder} is not empty")
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
