"""`python -m benchmarks.experiments.durability`: latency of each durability mode, in turns.

Commands at a steady rate, open loop, into fresh topics of each mode: `process` and `fsync` on one
local broker, `replicated` on three. The modes take turns within every round, so that other load on
the machine affects all of them equally. Times count from when a command was due.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from msgspec import Struct

from benchmarks.acknowledgements import AcknowledgementProbe
from benchmarks.experiments.trial import EXIT_CODES, Trial, Turn, print_table, run_experiment
from infra.broker import LocalKafka
from infra.cluster import LocalKafkaCluster
from loadgen.commands import commands
from loadgen.workload.orderflow import Profile, plan
from schemas.codec import encode
from schemas.topology import Durability
from services.local.signals import temporary_data_dir

# The first is the mode that the others are compared with.
MODES: tuple[Durability, ...] = ("process", "fsync", "replicated")
# Distinct commands; a longer turn sends them again.
COMMANDS_MAX = 10_000
# Any time will do; it only fills the commands' timestamps.
START_MS = 1_700_000_000_000


class CommandRate(Struct, frozen=True):
    """The load of one turn."""

    values: Sequence[bytes]
    per_s: int
    seconds: float


class ModeVariant:
    """Commands in topics of one durability mode."""

    def __init__(self, bootstrap: str, mode: Durability) -> None:
        self._probe = AcknowledgementProbe(bootstrap, mode)

    def __call__(self, rate: CommandRate) -> Turn:
        """Send commands for the given time, and wait for their acknowledgements."""
        failed_before = self._probe.failed
        times_ms = self._probe.run(rate.values, rate.per_s, rate.seconds)
        sent = int(rate.per_s * rate.seconds)
        # A command whose acknowledgement is still missing has failed as well.
        failed = self._probe.failed - failed_before + sent - len(times_ms)
        return Turn([round(time_ms * 1_000) for time_ms in times_ms], sent, failed)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if every command was acknowledged."""
    options = _options(arguments)
    flow = plan(Profile(), seed=1)
    values = [encode(command) for _, command in commands(flow, 0, START_MS)][:COMMANDS_MAX]

    def measure(trial: Trial[CommandRate]) -> int:
        trial.warm_up(CommandRate(values, max(options.rates), options.seconds))
        return sum(
            print_table(
                f"{rate:,}/s",
                trial.measure(CommandRate(values, rate, options.seconds), options.rounds),
            )
            for rate in options.rates
        )

    return run_experiment("durability", _trial, measure)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments.durability", description=__doc__, epilog=EXIT_CODES
    )
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 700, 2_500])
    parser.add_argument("--seconds", type=float, default=5.0, help="of one mode in one round")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args(arguments)
    if min(options.seconds, options.rounds, *options.rates) <= 0:
        parser.error("rates, seconds and rounds must be more than 0")
    return options


@contextmanager
def _trial() -> Iterator[Trial[CommandRate]]:
    """A variant for each mode, with its servers running."""
    with ExitStack() as ending:
        folder = ending.enter_context(temporary_data_dir())
        one = ending.enter_context(LocalKafka(folder / "one", profile="sustained"))
        three = ending.enter_context(LocalKafkaCluster(folder / "three", profile="sustained"))
        yield Trial(
            {
                mode: ModeVariant((three if mode == "replicated" else one).bootstrap_servers, mode)
                for mode in MODES
            }
        )


if __name__ == "__main__":
    sys.exit(main())
