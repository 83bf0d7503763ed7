"""Puts the flow into the command log, past the HTTP API, and waits until everybody has it all.

Fast: what is measured is the exchange behind its log, not its edge. A writer that follows the
slowest consumer keeps the lag small; one that runs free shows what a backlog does.
"""

import time

from msgspec import Struct

from benchmarks.soak.errors import DayError
from benchmarks.soak.flow import Flow
from benchmarks.soak.watch import Watch
from schemas.topics import COMMANDS
from services.local.exchange import Stack
from services.runtime.kafka.producer import FailFastSender

CHUNK = 1_000
LINGER_MS = 5
PAUSE_S = 0.05


class Pace(Struct, frozen=True):
    """`lag_max` commands may wait for the slowest consumer; 0: no bound.

    More than `bound_s` for it all, or `memory_mib_max` for one process, and it is given up.
    """

    lag_max: int
    bound_s: float
    memory_mib_max: int


class Written(Struct, frozen=True):
    """What went into the log, and when the last of it was there and was everywhere."""

    orders: int
    cancels: int
    written_s: float
    done_s: float


def write_day(stack: Stack, flow: Flow, orders: int, watch: Watch, pace: Pace) -> Written:
    """Until every consumer has everything. Raises DayError, DeliveryError."""
    began = time.monotonic()

    def go_on() -> None:
        watch.require_progress(pace.memory_mib_max)
        if time.monotonic() - began > pace.bound_s:
            raise DayError(f"not done in {pace.bound_s:.0f} s: {watch.latest}")

    topic = stack.topic_prefix + COMMANDS.name
    sender = FailFastSender(stack.admin, linger_ms=LINGER_MS)
    while (left := orders - flow.orders) > 0:
        for record in flow.commands(min(CHUNK, left), time.time_ns() // 1_000_000):
            sender.send(topic, record.partition, record.key, record.value)
        sender.check()
        go_on()
        while pace.lag_max and watch.latest.behind > pace.lag_max:
            time.sleep(PAUSE_S)
            go_on()
    sender.flush()
    written_s = time.monotonic() - began
    target = flow.orders + flow.cancels
    while min(watch.latest.matcher, watch.latest.reader, watch.latest.sink) < target:
        time.sleep(PAUSE_S)
        go_on()
    return Written(flow.orders, flow.cancels, written_s, time.monotonic() - began)
