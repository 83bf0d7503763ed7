"""Writes the flow into the command log, bypassing the HTTP API, and waits for all consumers.

Bypassing the API is fast: the benchmark measures the exchange behind its command log. A writer that
follows the slowest consumer keeps the lag small; an unthrottled one shows the effect of a backlog.
"""

import time

from msgspec import Struct

from benchmarks.soak.errors import DayError
from benchmarks.soak.flow import DayFlow
from benchmarks.soak.watch import Watch
from schemas.topics import COMMANDS
from services.local.exchange import LocalExchange
from services.runtime.clock import now_ms
from services.runtime.kafka.producer import FailFastSender

CHUNK = 1_000
# Larger batches: throughput matters here, latency does not.
LINGER_MS = 5
# While consumers are too far behind; short compared with the time to process their backlog.
PAUSE_S = 0.05


class Pace(Struct, frozen=True):
    """`lag_max`: commands that the slowest consumer may lag behind; 0: no bound.

    The run is aborted after `bound_s` seconds or when a process exceeds `memory_mib_max`.
    """

    lag_max: int
    bound_s: float
    memory_mib_max: int


class Written(Struct, frozen=True):
    """Records written, and when all of them were in the command log and in every consumer."""

    orders: int
    cancels: int
    written_s: float
    done_s: float


def write_day(
    stack: LocalExchange, flow: DayFlow, orders: int, watch: Watch, pace: Pace
) -> Written:
    """Write, and wait until every consumer has everything. Raises DayError, DeliveryError."""
    began = time.monotonic()

    def go_on() -> None:
        watch.require_progress(pace.memory_mib_max)
        if time.monotonic() - began > pace.bound_s:
            raise DayError(f"not done in {pace.bound_s:.0f} s: {watch.latest}")

    topic = COMMANDS.full_name(stack.topic_prefix)
    sender = FailFastSender(stack.admin, linger_ms=LINGER_MS)
    while (left := orders - flow.orders) > 0:
        for record in flow.commands(min(CHUNK, left), now_ms()):
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
