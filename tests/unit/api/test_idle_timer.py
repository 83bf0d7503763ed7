"""The idle timer: one timer for many requests, and never early."""

import asyncio

from services.api.idle_timer import IdleTimer


def test_idle_timer_fires_once_its_time_passed_without_a_request() -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        fired: asyncio.Future[float] = loop.create_future()
        timer = IdleTimer(loop, lambda: fired.set_result(loop.time()))
        timer.start(0.05)
        await asyncio.sleep(0.03)
        timer.stop()
        assert not timer.runs
        await asyncio.sleep(0.04)
        begun_s = loop.time()
        timer.start(0.05)
        return await asyncio.wait_for(fired, 5) - begun_s

    assert asyncio.run(scenario()) >= 0.049


def test_idle_timer_is_moved_by_each_request_without_a_new_timer() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        fired: list[float] = []
        timer = IdleTimer(loop, lambda: fired.append(loop.time()))
        timer.start(0.1)
        first = timer._timer
        for _ in range(5):
            timer.stop()
            timer.start(0.1)
        assert timer._timer is first
        await asyncio.sleep(0.07)
        timer.stop()
        timer.start(0.1)
        await asyncio.sleep(0.07)
        assert fired == []
        await asyncio.sleep(0.1)
        assert len(fired) == 1

    asyncio.run(scenario())


def test_cancelled_idle_timer_never_fires() -> None:
    async def scenario() -> None:
        fired: list[bool] = []
        timer = IdleTimer(asyncio.get_running_loop(), lambda: fired.append(True))
        timer.start(0.01)
        timer.cancel()
        await asyncio.sleep(0.05)
        assert fired == []

    asyncio.run(scenario())
