"""Comparison of the engine with other packages' engines, in the same run and on the same flow.

The other engines run in a separate environment below `.local`, created from `peers.txt` when first
needed. A peer's figure counts only if its fills equal those of this engine: the same prices and
quantities, in order. Peers support neither client order ids nor order validity, so the flow
contains neither, and no cancel that would arrive too late.
"""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from benchmarks.micro.context import Context
from benchmarks.micro.engine import BROKERS, START_MS, apply_all
from benchmarks.micro.errors import BenchError
from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement, ns_each
from benchmarks.micro.peer_worker import ADAPTERS
from loadgen.commands import commands
from loadgen.workload.orderflow import Profile, plan
from schemas.commands import CancelOrder, Command, PlaceOrder
from schemas.executions import CommandRefused, OrderAccepted
from services.matcher.engine import Engine, EnginePosition

HOME: Final = Path(__file__).parents[2] / ".local" / "bench-peers"
REQUIREMENTS: Final = Path(__file__).with_name("peers.txt")
WORKER: Final = Path(__file__).with_name("peer_worker.py")
# Covers the download, and the compilation of peers without a wheel.
INSTALL_TIMEOUT_S: Final = 600
SYMBOLS: Final = 20
# So slow a rate that even the shortest flow has orders old enough to be cancelled.
ORDERS_PER_S: Final = 200
UNIT: Final = "commands/s"
# Shorter flows would measure only an engine's start-up.
COMMANDS_LEAST: Final = 1_000

Entry = list[str | int | bool | None]


class PeerFill(Struct, frozen=True, array_like=True):
    """A fill of the command with this number. A peer may report quantities as floats."""

    number: int
    price: float
    quantity: float


class PeerAnswer(Struct, frozen=True):
    """A worker's answer."""

    seconds: float = 0.0
    fills: list[PeerFill] = []
    version: str = ""
    error: str = ""


class PeerFlow(Struct, frozen=True):
    """Commands that all engines support, the same as entries for a worker, and expected fills."""

    placed: list[tuple[Command, EnginePosition]]
    entries: list[Entry]
    fills: list[PeerFill]


def flow_of(count: int) -> PeerFlow:
    """About `count` commands, without the cancels that arrive too late."""
    profile = Profile(
        brokers=BROKERS,
        symbols=SYMBOLS,
        orders_per_s=ORDERS_PER_S,
        duration_s=-(-count * 53 // (72 * ORDERS_PER_S)),
        valid_short_percent=0,
        valid_seconds_percent=0,
        cancel_age_ms_mean=500,
    )
    engine, numbers = Engine(0), dict[str, tuple[int, str]]()
    flow = PeerFlow([], [], [])
    for now_ms, planned in commands(plan(profile, seed=1), 0, START_MS):
        number = len(flow.placed)
        at = EnginePosition(0, number, now_ms)
        command = planned
        if isinstance(planned, PlaceOrder):
            command = structs.replace(planned, client_order_id=None)
        event = engine.apply(command, at).event
        if isinstance(event, CommandRefused):
            continue
        flow.placed.append((command, at))
        if isinstance(command, PlaceOrder):
            numbers[command.order_id] = number, command.symbol
            bid = command.side == "bid"
            flow.entries.append([command.symbol, bid, command.price, command.quantity])
        elif isinstance(command, CancelOrder):
            cancelled, symbol = numbers[command.order_id]
            flow.entries.append([symbol, cancelled])
        if isinstance(event, OrderAccepted):
            flow.fills.extend(PeerFill(number, fill.price, fill.quantity) for fill in event.fills)
    return flow


def difference(ours: Sequence[PeerFill], theirs: Sequence[PeerFill]) -> str:
    """A description of the first fill that differs; empty when all are equal."""
    for place, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return f"fill {place} is {other}, ours is {one}"
    if len(ours) != len(theirs):
        return f"{len(theirs):,} fills, ours are {len(ours):,}"
    return ""


class Worker:
    """The interpreter process that runs the other engines on one flow."""

    def __init__(self, python: Path, flow: PeerFlow, file: Path) -> None:
        file.write_bytes(msgspec.json.encode(flow.entries))
        self._process = subprocess.Popen(  # noqa: S603 - our own words
            [python, WORKER, file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str) -> PeerAnswer:
        """Run the flow once through this engine. Raises BenchError when the interpreter has
        ended."""
        if self._process.stdin is None or self._process.stdout is None:
            raise BenchError("the other engines' interpreter has no pipes")
        try:
            self._process.stdin.write(f"{name}\n")
            self._process.stdin.flush()
            return msgspec.json.decode(self._process.stdout.readline(), type=PeerAnswer)
        except (OSError, msgspec.MsgspecError) as error:
            raise BenchError(f"the other engines' interpreter has ended: {error}") from error

    def close(self) -> None:
        """End the interpreter."""
        self._process.kill()
        self._process.communicate()


def beside(context: Context) -> Benchmark:
    """Measure each engine on flows of growing length, starting from an empty book."""
    flows = {count: flow_of(count) for count in (COMMANDS_LEAST, 500 * context.scale.flow_s)}
    workers: dict[int, Worker] = {}
    try:
        python = installed(context.show)
    except BenchError as error:
        context.notes.append(f"NO OTHER ENGINE WAS MEASURED: {error}")
    else:
        for count, flow in flows.items():
            file = context.servers.folder / f"{context.servers.name('flow')}.json"
            workers[count] = Worker(python, flow, file)
            context.ending.callback(workers[count].close)
    failed: set[str] = set()

    def measure(count: int) -> Iterable[Measurement]:
        flow = flows[count]
        ns = ns_each(partial(apply_all, Engine(0), flow.placed), len(flow.placed))
        yield Measurement("ours", 1e9 / ns, UNIT)
        for name in ADAPTERS if count in workers else ():
            if name in failed:
                continue
            answer = workers[count].run(name)
            wrong = answer.error or difference(flow.fills, answer.fills)
            if wrong:
                failed.add(name)
                context.failed.append(f"{name} does not count on {count:,} commands: {wrong}")
            else:
                yield Measurement(
                    f"{name} {answer.version}", len(flow.placed) / answer.seconds, UNIT
                )

    return Benchmark([CurvePoint(count, partial(measure, count)) for count in flows], "commands")


def installed(show: Callable[[str], None]) -> Path:
    """The interpreter of the peers' environment, created if missing. Raises BenchError."""
    python = HOME / "bin" / "python"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    stamp = HOME / "installed"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    show(f"installing other engines into {HOME}, once")
    _run([sys.executable, "-m", "venv", "--clear", str(HOME)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--require-hashes", "-r", str(REQUIREMENTS)])
    stamp.write_text(wanted)
    return python


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(
            f"they cannot be installed: {error}; --no-peers leaves them out"
        ) from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise BenchError(f"they cannot be installed: {last}; --no-peers leaves them out")
