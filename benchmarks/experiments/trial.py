"""A trial: variants of one system take turns under the same load, then share one table.

1. `set_up`: the experiment starts the servers of its variants and yields a `Trial`.
2. `warm_up`: variants run once; these measurements are dropped.
3. `measure`: in every round each variant has its turns, so that other load on the machine affects
   all variants equally. Each variant's turns add up to one row of the table.
4. `set_up` ends and stops the servers, also after an error.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Generic, TypeVar

from msgspec import Struct

from infra.errors import InfraError
from loadgen.client.record import RequestRecord
from loadgen.client.setup import SetupError
from loadgen.report.report import percentile
from services.local.signals import quiet_kafka, stoppable
from services.runtime.errors import ExchangeError

Load = TypeVar("Load")
Running = TypeVar("Running")

EXIT_FAILED: Final = 1
EXIT_INFRA: Final = 3
EXIT_INTERRUPTED: Final = 130
EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 some requests failed; 3 the servers could not be started; "
    "130 interrupted."
)
PER_MILLE: Final = (500, 990)


class Turn(Struct, frozen=True):
    """Measurements of one variant: of one turn, or the sum of several.

    `latencies_us` counts from when a request was due. `cpu_s` is None when it is not measured.
    """

    latencies_us: Sequence[int]
    sent: int
    failed: int = 0
    cpu_s: float | None = None

    def __add__(self, other: "Turn") -> "Turn":
        spent = None
        if self.cpu_s is not None and other.cpu_s is not None:
            spent = self.cpu_s + other.cpu_s
        return Turn(
            [*self.latencies_us, *other.latencies_us],
            self.sent + other.sent,
            self.failed + other.failed,
            spent,
        )


class Trial(Generic[Load]):
    """Runs the variants in turns. `turns`: the order within a round; a variant may repeat in it.

    The first variant is the reference that every row is compared with.
    """

    def __init__(
        self, variants: Mapping[str, Callable[[Load], Turn]], turns: Sequence[str] = ()
    ) -> None:
        self._variants = variants
        self._turns = turns or tuple(variants)

    def warm_up(self, load: Load, *names: str) -> None:
        """Run the named variants, by default all, once and drop what was measured."""
        for name in names or tuple(self._variants):
            self._variants[name](load)

    def measure(self, load: Load, rounds: int) -> dict[str, Turn]:
        """The sum of each variant's turns, in the order of the variants."""
        found: dict[str, list[Turn]] = {name: [] for name in self._variants}
        for _ in range(rounds):
            for name in self._turns:
                found[name].append(self._variants[name](load))
        return {name: sum(turns[1:], start=turns[0]) for name, turns in found.items()}


def requests_turn(
    records: Iterable[RequestRecord],
    succeeded: Callable[[RequestRecord], bool],
    *,
    operation: str = "order",
    cpu_s: float | None = None,
) -> Turn:
    """A turn of HTTP requests; its latencies are those of one operation, whatever the answer."""
    every = list(records)
    return Turn(
        [record.latency_us for record in every if record.operation == operation],
        len(every),
        sum(not succeeded(record) for record in every),
        cpu_s,
    )


def print_table(load: str, found: Mapping[str, Turn]) -> int:
    """Print a row for each variant. Returns the number of requests that failed."""
    reference_name, reference = next(iter(found.items()))
    for name, turn in found.items():
        cells = [_latency(turn, reference, per_mille, reference_name) for per_mille in PER_MILLE]
        if turn.cpu_s is not None and reference.cpu_s is not None:
            each, least = turn.cpu_s / turn.sent * 1e6, reference.cpu_s / reference.sent * 1e6
            cells.append(f"CPU {each:6.0f} us a request ({each / least:4.2f} x {reference_name})")
        cells.append(f"{turn.sent - turn.failed:,} of {turn.sent:,} succeeded")
        sys.stdout.write(f"{load:>8}  {name:<12} {'   '.join(cells)}\n")
    sys.stdout.flush()
    return sum(turn.failed for turn in found.values())


def _latency(turn: Turn, reference: Turn, per_mille: int, reference_name: str) -> str:
    time_us, least_us = (
        percentile(sorted(one.latencies_us), per_mille) for one in (turn, reference)
    )
    times = time_us / max(1, least_us)
    return f"p{per_mille // 10} {time_us / 1_000:7.1f} ms ({times:4.2f} x {reference_name})"


def run_experiment(
    name: str,
    set_up: Callable[[], AbstractContextManager[Running]],
    measure: Callable[[Running], int],
) -> int:
    """Run an experiment and return the exit code.

    `set_up` starts what `measure` receives, a trial as a rule. `measure` returns how many requests
    failed.
    """
    quiet_kafka()
    try:
        with stoppable(), set_up() as running:
            return EXIT_FAILED if measure(running) else 0
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted; everything is stopped\n")
        return EXIT_INTERRUPTED
    except (InfraError, ExchangeError, SetupError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return EXIT_INFRA
