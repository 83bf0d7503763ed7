"""The idle timer: one timer for many requests, and never early."""

from typing import Any

from services.api.idle_timer import IdleTimer
from tests.support.manual_loop import ManualLoop


def timer_of() -> tuple[Any, IdleTimer, list[float]]:
    loop: Any = ManualLoop()
    fired: list[float] = []
    return loop, IdleTimer(loop, lambda: fired.append(loop.time())), fired


def test_idle_timer_fires_once_its_time_passed_without_a_request() -> None:
    loop, timer, fired = timer_of()
    timer.start(5)
    loop.advance(3)
    timer.stop()
    assert not timer.runs
    # The first timer fires while the request is in progress.
    loop.advance(4)
    timer.start(5)
    loop.advance(4.9)
    assert fired == []
    loop.advance(0.2)
    assert fired == [1_012.0]


def test_idle_timer_is_moved_by_each_request_without_a_new_timer() -> None:
    loop, timer, fired = timer_of()
    timer.start(10)
    for _ in range(50):
        timer.stop()
        timer.start(10)
    assert loop.timers_set == 1
    loop.advance(7)
    timer.stop()
    timer.start(10)
    loop.advance(9)
    assert (fired, loop.timers_set) == ([], 2)
    loop.advance(2)
    assert fired == [1_017.0]


def test_cancelled_idle_timer_never_fires() -> None:
    loop, timer, fired = timer_of()
    timer.start(1)
    timer.cancel()
    loop.advance(5)
    assert fired == []
