"""Deadlines: due in time and once, never after a cancel, and nothing kept of those that ended."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from services.ingest.deadlines import Deadlines


def run(scenario: Callable[[Deadlines, list[str]], Coroutine[Any, Any, None]]) -> list[str]:
    due: list[str] = []

    async def inside() -> None:
        await scenario(Deadlines(asyncio.get_running_loop()), due)

    asyncio.run(asyncio.wait_for(inside(), 5))
    return due


def test_deadlines_of_any_waiting_times_are_due_in_the_order_of_their_moments() -> None:
    async def scenario(deadlines: Deadlines, due: list[str]) -> None:
        deadlines.add(60, lambda: due.append("late"))
        deadlines.add(20, lambda: due.append("first"))
        await asyncio.sleep(0.01)
        deadlines.add(20, lambda: due.append("second"))
        assert due == []
        await asyncio.sleep(0.1)

    assert run(scenario) == ["first", "second", "late"]


def test_deadline_is_not_due_before_its_time() -> None:
    async def scenario(deadlines: Deadlines, due: list[str]) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        deadlines.add(50, lambda: due.append("first"))
        await asyncio.sleep(0.03)
        deadlines.add(50, lambda: due.append(f"{loop.time() - begun_s:.2f}"))
        await asyncio.sleep(0.1)
        assert float(due[1]) >= 0.08

    assert len(run(scenario)) == 2


def test_cancelled_deadline_is_never_due_and_those_behind_it_are() -> None:
    async def scenario(deadlines: Deadlines, due: list[str]) -> None:
        first = deadlines.add(10, lambda: due.append("first"))
        deadlines.add(10, lambda: due.append("second"))
        third = deadlines.add(10, lambda: due.append("third"))
        first.cancel()
        third.cancel()
        await asyncio.sleep(0.05)
        third.cancel()

    assert run(scenario) == ["second"]


def test_deadlines_added_by_a_due_one_are_due_too() -> None:
    async def scenario(deadlines: Deadlines, due: list[str]) -> None:
        deadlines.add(5, lambda: _add(deadlines, due))
        await asyncio.sleep(0.05)

    assert run(scenario) == ["next"]


def test_cancelled_deadlines_are_dropped_when_others_are_added() -> None:
    async def scenario(deadlines: Deadlines, _: list[str]) -> None:
        for _number in range(1_000):
            deadlines.add(10_000, lambda: None).cancel()
        assert sum(len(queue) for queue in deadlines._queues.values()) <= 1

    run(scenario)


def test_queue_of_a_waiting_time_ends_with_its_last_deadline() -> None:
    async def scenario(deadlines: Deadlines, _: list[str]) -> None:
        for wait_ms in range(1, 20):
            deadlines.add(wait_ms, lambda: None)
        await asyncio.sleep(0.1)
        assert deadlines._queues == {}

    run(scenario)


def _add(deadlines: Deadlines, due: list[str]) -> None:
    deadlines.add(5, lambda: due.append("next"))
