"""Refusals while a process may miss a revocation: after a pause, and without Kafka."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.api.freshness import AGE_S_MAX, FROZEN_S, BrokersFreshness
from services.runtime.errors import UnavailableError


class Topic:
    """A brokers topic that is read by the process; `away`: Kafka does not answer."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.end = 7
        self.applied = 7
        self.away = False
        self.freshness = BrokersFreshness(
            self.read_end, lambda end: self.applied >= end, lambda: self.now_s
        )

    def read_end(self) -> int:
        if self.away:
            raise UnavailableError("away")
        return self.end

    def refused(self) -> tuple[bool, bool]:
        """For a read and a write, True if it is refused."""
        refusal = self.freshness.refusal
        return refusal(writes=False) is not None, refusal(writes=True) is not None

    async def answered(self) -> None:
        """Wait for an answer after now."""
        self.freshness.answered.clear()
        self.freshness.ask_now()
        await asyncio.wait_for(self.freshness.answered.wait(), 5)


Scenario = Callable[[Topic], Awaitable[None]]


def run(scenario: Scenario) -> None:
    async def around() -> None:
        topic = Topic()
        asking = asyncio.create_task(topic.freshness.run())
        await topic.answered()
        assert topic.refused() == (False, False)
        await scenario(topic)
        asking.cancel()

    asyncio.run(around())


def test_paused_process_refuses_all_until_it_has_read_the_brokers() -> None:
    async def scenario(topic: Topic) -> None:
        topic.end = 8
        topic.now_s += FROZEN_S + 0.1
        assert topic.refused() == (True, True)
        # The question is answered, but the record is not applied yet.
        await asyncio.sleep(0.05)
        assert topic.refused() == (True, True)
        topic.applied = 8
        await topic.answered()
        assert topic.refused() == (False, False)

    run(scenario)


def test_process_without_contact_to_kafka_refuses_writes_only() -> None:
    async def scenario(topic: Topic) -> None:
        topic.away = True
        for _ in range(round(AGE_S_MAX)):
            assert topic.refused() == (False, False)
            topic.now_s += FROZEN_S
            topic.freshness.beat()
        topic.now_s += 0.1
        assert topic.refused() == (False, True)
        topic.away = False
        await topic.answered()
        assert topic.refused() == (False, False)

    run(scenario)


@pytest.mark.parametrize("pause_s", [0.0, FROZEN_S])
def test_running_process_refuses_nothing(pause_s: float) -> None:
    async def scenario(topic: Topic) -> None:
        topic.now_s += pause_s
        assert topic.refused() == (False, False)

    run(scenario)
