"""Records that are held while many are sent, and sent together."""

import asyncio
from asyncio import Runner
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from services.ingest.publish import BUSY_RECORDS, Delivery, LoadWindow, Publisher
from services.ingest.wiring import close
from services.runtime.kafka.producer import NotQueuedError
from tests.support.clock_loop import ClockLoop
from tests.support.ingest_context import ORDER, FakeSender, IngestHarness

# Longer than any test: windows end only where a test moves the clock.
WINDOW_S: Final = 600.0


def counts(times: list[float]) -> list[bool]:
    window = LoadWindow(1.0)
    return [window.count(each) for each in times]


def test_window_after_a_full_one_is_busy() -> None:
    assert counts([*[0.0] * BUSY_RECORDS, 1.0, 1.5]) == [False] * BUSY_RECORDS + [True] * 2


def test_window_after_one_with_fewer_records_is_not_busy() -> None:
    assert not any(counts([*[0.0] * (BUSY_RECORDS - 1), 1.0]))


def test_window_after_a_pause_is_not_busy() -> None:
    assert counts([*[0.0] * BUSY_RECORDS, 1.99])[-1]
    assert not counts([*[0.0] * BUSY_RECORDS, 2.0])[-1]


def test_window_without_length_is_never_busy() -> None:
    window = LoadWindow(0.0)
    assert not any(window.count(0.0) for _ in range(3 * BUSY_RECORDS))


class Sending:
    """A publisher and the values that it has sent."""

    def __init__(self, clock: ClockLoop) -> None:
        self.clock = clock
        self.sender = FakeSender()
        self.failures: list[bytes] = []
        self.publisher = Publisher(
            self.sender, in_flight_max=1_000, delivery_timeout_ms=1_000, window_s=WINDOW_S
        )

    @property
    def sent(self) -> list[bytes | None]:
        return [value for _, _, _, value in self.sender.sent]

    def send(self, value: bytes) -> Delivery:
        return self.publisher.send("t", 0, None, value, lambda: self.failures.append(value))

    async def become_busy(self) -> None:
        """Fill a window, and begin the next."""
        for _ in range(BUSY_RECORDS):
            self.send(b"first")
        await self.clock.move(WINDOW_S)
        self.sender.sent.clear()


def run(scenario: Callable[[Sending], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop()
        assert isinstance(clock, ClockLoop)
        await scenario(Sending(clock))

    with Runner(loop_factory=ClockLoop) as runner:
        runner.run(main())


def test_records_of_a_quiet_market_are_sent_at_once() -> None:
    async def scenario(sending: Sending) -> None:
        for number in range(2 * BUSY_RECORDS):
            sending.send(b"%d" % number)
            assert len(sending.sent) == number + 1
            await sending.clock.move(WINDOW_S / 4)

    run(scenario)


def test_records_of_a_busy_window_are_sent_together_in_order_at_its_end() -> None:
    async def scenario(sending: Sending) -> None:
        await sending.become_busy()
        for value in (b"a", b"b", b"c"):
            sending.send(value)
        await sending.clock.move(WINDOW_S - 1)
        assert sending.sent == []
        await sending.clock.move(1)
        assert sending.sent == [b"a", b"b", b"c"]

    run(scenario)


def test_flush_sends_what_is_held_and_the_window_goes_on() -> None:
    async def scenario(sending: Sending) -> None:
        await sending.become_busy()
        sending.send(b"a")
        sending.publisher.flush()
        assert sending.sent == [b"a"]
        sending.send(b"b")
        assert sending.sent == [b"a"]
        await sending.clock.move(WINDOW_S)
        assert sending.sent == [b"a", b"b"]

    run(scenario)


def test_record_never_overtakes_one_that_is_held() -> None:
    async def scenario(sending: Sending) -> None:
        await sending.become_busy()
        sending.send(b"a")
        # The window has ended, but its timer has not run yet; the next one is not busy.
        sending.clock.moved_s += 3 * WINDOW_S
        sending.send(b"b")
        await sending.clock.move(0)
        assert sending.sent == [b"a", b"b"]

    run(scenario)


def test_held_records_count_as_in_flight() -> None:
    async def scenario(sending: Sending) -> None:
        await sending.become_busy()
        sending.send(b"a")
        assert sending.publisher.in_flight == 1
        sending.publisher.flush()
        assert sending.publisher.in_flight == 0

    run(scenario)


@pytest.mark.parametrize("refusal", [BufferError(), NotQueuedError("fatal")])
def test_held_record_that_is_refused_ends_as_not_stored(refusal: Exception) -> None:
    async def scenario(sending: Sending) -> None:
        await sending.become_busy()
        delivery = sending.send(b"a")
        waiting = asyncio.create_task(delivery.wait(60))
        await asyncio.sleep(0)
        sending.sender.refusal = refusal
        sending.publisher.flush()
        assert await waiting == "not_stored"
        assert sending.failures == [b"a"]
        assert sending.publisher.in_flight == 0

    run(scenario)


class BusyHarness(IngestHarness):
    """Its publisher holds the records of a busy window."""

    window_s = WINDOW_S


def test_batch_is_sent_at_once_in_a_busy_window() -> None:
    async def scenario(sending: Sending) -> None:
        harness = BusyHarness(FakeSender(), wait_ms=0)
        for _ in range(BUSY_RECORDS):
            harness.publisher.send("t", 0, None, b"first")
        await sending.clock.move(WINDOW_S)
        order = ORDER[:-1] + b',"client_order_id":"a"}'
        answer = await harness.post("/orders/batch", b'{"items":[{"place":%s}]}' % order)
        assert answer.status == 200
        assert len(harness.sender.sent) == BUSY_RECORDS + 1

    run(scenario)


def test_held_records_are_sent_before_the_producer_is_closed() -> None:
    async def scenario(sending: Sending) -> None:
        await sending.become_busy()
        sending.send(b"a")
        sent_at_close: list[bytes | None] = []

        def close_sender() -> int:
            sent_at_close.extend(sending.sent)
            return 0

        await close(sending.publisher, close_sender)
        assert sent_at_close == [b"a"]

    run(scenario)
