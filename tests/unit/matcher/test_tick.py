"""Ticks of a matcher: one for a due order, another if it was lost, and never a flood."""

import pytest
from msgspec import Struct

from schemas.codec import encode
from schemas.commands import CancelOrder, Command, PlaceOrder, Tick
from schemas.ids import order_id
from schemas.snapshots import PublishedPosition
from services.matcher.claim import Claimed
from services.matcher.engine import Engine
from services.matcher.partition import (
    QUIET_MS_MAX,
    TICK_GRACE_MS,
    TICK_REPEAT_MS,
    PartitionMatcher,
)
from services.matcher.publish import OutcomePublisher
from services.matcher.recovery import Recovered
from services.runtime.errors import ClockAheadError
from services.runtime.kafka.execution_filter import FilterPosition

DUE_MS = 100_000
BROKER = order_id(1, 0, 1)
ORDER = PlaceOrder(order_id(1, 0, 2), BROKER, "1", "A", "bid", "limit", 1, 10, valid_until=DUE_MS)
LATE_MS = DUE_MS + TICK_GRACE_MS
DAY_MS = 86_400_000


class Written(Struct, frozen=True):
    """A command as read from the command log."""

    command: Command
    at: int
    written_ms: int

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, self.written_ms

    def value(self) -> bytes:
        return encode(self.command)


class Sent:
    """A producer that records the topics it sends to."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        self.topics.append(topic)

    def check(self) -> None:
        pass

    def settle(self, timeout_s: float) -> bool:
        return timeout_s > 0

    def flush(self) -> None:
        pass


class Market:
    """One partition with one order that is due; the timestamps of its command log are separate."""

    def __init__(self, published: int = 0) -> None:
        self._sent = Sent()
        recovered = Recovered(Engine(0), FilterPosition())
        claimed = Claimed(0, 0, published, recovered, PublishedPosition(), PublishedPosition())
        self._matcher = PartitionMatcher(claimed, OutcomePublisher("", self._sent, Sent()))
        self._end = 0
        self.write(ORDER, DUE_MS - 60_000)

    def write(self, command: Command, written_ms: int, latest_ms: int | None = None) -> None:
        self._matcher.handle([Written(command, self._end, written_ms)], latest_ms)
        self._end += 1

    @property
    def outcomes(self) -> int:
        """Records of outcomes sent so far."""
        return self._sent.topics.count("exchange.executions.v1")

    def due_by(self, time_ms: int) -> bool:
        return self._matcher.due_by(time_ms)

    def ticks_at(self, now_ms: int) -> int:
        before = self._sent.topics.count("exchange.commands.v1")
        self._matcher.tick_if_due(now_ms)
        return self._sent.topics.count("exchange.commands.v1") - before


def test_tick_of_a_due_order_is_sent_once_and_again_after_a_loss() -> None:
    market = Market()
    assert market.ticks_at(LATE_MS - 1) == 0
    assert market.ticks_at(LATE_MS) == 1
    assert market.ticks_at(LATE_MS + TICK_REPEAT_MS - 1) == 0
    assert market.ticks_at(LATE_MS + TICK_REPEAT_MS) == 1
    market.write(Tick(), DUE_MS)
    assert market.ticks_at(LATE_MS + 3 * TICK_REPEAT_MS) == 0


def test_partition_knows_until_when_nothing_is_due() -> None:
    market = Market()
    assert [market.due_by(DUE_MS - 1), market.due_by(DUE_MS)] == [False, True]
    market.write(CancelOrder(ORDER.order_id, ORDER.broker_id), DUE_MS - 1)
    assert not market.due_by(DUE_MS)


def test_partition_without_commands_gets_a_tick_every_twelve_hours() -> None:
    market = Market()
    start = DUE_MS - 60_000
    market.write(CancelOrder(ORDER.order_id, ORDER.broker_id), start)
    found = [market.ticks_at(start + part * QUIET_MS_MAX // 4) for part in range(10)]
    assert found == [0, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    market.write(Tick(), start)
    assert market.ticks_at(start + 3 * QUIET_MS_MAX) == 0
    assert market.ticks_at(start + 4 * QUIET_MS_MAX) == 1


def test_tick_stored_too_early_is_repeated_after_the_remaining_time() -> None:
    market = Market()
    assert market.ticks_at(LATE_MS) == 1
    market.write(Tick(), DUE_MS - 30)
    assert market.ticks_at(LATE_MS + 29) == 0
    assert market.ticks_at(LATE_MS + 30) == 1


def test_matcher_whose_clock_is_a_day_ahead_sends_one_tick() -> None:
    market = Market()
    sent = 0
    for now_ms in range(DUE_MS - 60_000, DUE_MS, 20):
        if ticks := market.ticks_at(now_ms + DAY_MS):
            sent += ticks
            market.write(Tick(), now_ms)
    assert sent == 1
    # With a correct clock again, ticks are sent as usual.
    assert market.ticks_at(LATE_MS) == 1


def test_ticks_that_do_not_move_the_log_clock_become_rare() -> None:
    # A new leader whose clock is a minute behind: the log's clock is 1 ms before the order's
    # end, and every tick is read back after 5 ms.
    market = Market()
    market.write(Tick(), DUE_MS - 1)
    sent = 0
    for passed_ms in range(0, 60_000, 5):
        if ticks := market.ticks_at(LATE_MS + passed_ms):
            sent += ticks
            market.write(Tick(), DUE_MS - 60_000 + passed_ms)
    assert sent <= 70
    market.write(Tick(), DUE_MS)
    assert market.ticks_at(LATE_MS + 120_000) == 0


def test_command_from_the_future_stops_the_matcher_before_its_outcome() -> None:
    market = Market()
    before = market.outcomes
    market.write(Tick(), DUE_MS - 1, DUE_MS - 1)
    assert market.outcomes == before + 1
    with pytest.raises(ClockAheadError, match=r"command 2 of partition 0 has a timestamp 0.001 s"):
        market.write(Tick(), DUE_MS, DUE_MS - 1)
    assert market.outcomes == before + 1


def test_command_from_the_future_with_a_published_outcome_is_replayed() -> None:
    market = Market(published=2)
    market.write(Tick(), DUE_MS, DUE_MS - 1)
    assert market.outcomes == 0
