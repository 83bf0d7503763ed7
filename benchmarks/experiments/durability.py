"""`python -m benchmarks.experiments.durability`: latency of each durability mode, in turns.

Commands at a steady rate, open loop, into fresh topics of each mode: `process` and `fsync` on one
local broker, `replicated` on three. The modes take turns within every round, so that other load on
the machine affects all of them equally. Times count from when a command was due.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from confluent_kafka import KafkaError, Message, Producer

from infra.broker import LocalKafka
from infra.cluster import LocalKafkaCluster
from infra.errors import InfraError
from loadgen.commands import commands
from loadgen.workload.orderflow import Profile, plan
from schemas.codec import encode
from schemas.topics import COMMANDS
from schemas.topology import Durability
from services.local.signals import quiet_kafka, temporary_data_dir
from services.runtime.errors import ExchangeError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.topics import TopicsAdmin

MODES: tuple[Durability, ...] = ("process", "fsync", "replicated")
PARTITIONS = 2
# The default of the gateway's producer.
LINGER_MS = 1
# Bounds the wait for late acknowledgements at the end of a round.
FLUSH_S = 30.0
EXIT_FAILED = 1
EXIT_INFRA = 3


class Line:
    """One mode's topics, its producer, and the times of the current round."""

    def __init__(self, bootstrap: str, mode: Durability, prefix: str = "") -> None:
        prefix = prefix or f"{mode}."
        TopicsAdmin(KafkaAccess(bootstrap), prefix).apply(PARTITIONS, mode)
        self._topic = prefix + COMMANDS.name
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": LINGER_MS,
                "socket.nagle.disable": True,
                "log_level": 0,
            }
        )
        self.failed = 0

    def run(self, values: Sequence[bytes], rate: int, seconds: float) -> list[float]:
        """Milliseconds until the acknowledgement of each command."""
        times: list[float] = []
        start_s = time.perf_counter()
        for number in range(int(rate * seconds)):
            due_s = start_s + number / rate
            while (left_s := due_s - time.perf_counter()) > 0:
                self._producer.poll(left_s)
            self._send(values[number % len(values)], number % PARTITIONS, due_s, times)
        self._producer.flush(FLUSH_S)
        return times

    def _send(self, value: bytes, partition: int, due_s: float, times: list[float]) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            times.append((time.perf_counter() - due_s) * 1_000)
            self.failed += error is not None

        self._producer.produce(self._topic, value, partition=partition, on_delivery=delivered)
        self._producer.poll(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if every command was acknowledged."""
    options = _options(arguments)
    quiet_kafka()
    flow = plan(Profile(), seed=1)
    values = [encode(command) for _, command in commands(flow, 0, 1_700_000_000_000)][:10_000]
    try:
        with _lines() as lines:
            for line in lines.values():
                line.run(values, max(options.rates), options.seconds)
            for rate in options.rates:
                _measure(lines, values, rate, options)
            return EXIT_FAILED if any(line.failed for line in lines.values()) else 0
    except (InfraError, ExchangeError) as error:
        sys.stderr.write(f"durability: {error}\n")
        return EXIT_INFRA


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments.durability", description=__doc__
    )
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 700, 2_500])
    parser.add_argument("--seconds", type=float, default=5.0, help="of one mode in one round")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args(arguments)
    if min(options.seconds, options.rounds, *options.rates) <= 0:
        parser.error("rates, seconds and rounds must be more than 0")
    return options


@contextmanager
def _lines() -> Iterator[dict[Durability, Line]]:
    """One trial per mode, with its servers running."""
    with ExitStack() as ending:
        folder = ending.enter_context(temporary_data_dir())
        one = ending.enter_context(LocalKafka(folder / "one", profile="sustained"))
        three = ending.enter_context(LocalKafkaCluster(folder / "three", profile="sustained"))
        yield {
            mode: Line((three if mode == "replicated" else one).bootstrap_servers, mode)
            for mode in MODES
        }


def _measure(
    lines: dict[Durability, Line], values: Sequence[bytes], rate: int, options: argparse.Namespace
) -> None:
    times: dict[Durability, list[float]] = {mode: [] for mode in lines}
    for _ in range(options.rounds):
        for mode, line in lines.items():
            times[mode] += line.run(values, rate, options.seconds)
    process = sorted(times["process"])
    for mode, found in times.items():
        found.sort()
        told = (_told(found, process, percent) for percent in (50, 99))
        sys.stdout.write(f"{rate:>6,}/s  {mode:<11} {'   '.join(told)}\n")
        sys.stdout.flush()


def _told(found: Sequence[float], process: Sequence[float], percent: int) -> str:
    time_ms, least_ms = (times[len(times) * percent // 100] for times in (found, process))
    return f"p{percent} {time_ms:8.1f} ms ({time_ms / least_ms:4.1f} x process)"


if __name__ == "__main__":
    sys.exit(main())
