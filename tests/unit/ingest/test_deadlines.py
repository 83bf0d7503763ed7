"""Deadlines: due in time and once, never after a cancel, and nothing kept of those that ended."""

from typing import Any

from services.ingest.deadlines import Deadlines
from tests.support.manual_loop import ManualLoop


class Scene:
    """Deadlines on a manual loop, and the names of those that were due."""

    def __init__(self) -> None:
        loop: Any = ManualLoop()
        self.loop: ManualLoop = loop
        self.deadlines = Deadlines(loop)
        self.due: list[str] = []

    def add(self, wait_ms: int, name: str) -> Any:
        return self.deadlines.add(wait_ms, lambda: self.due.append(name))


def test_deadlines_of_any_waiting_times_are_due_in_the_order_of_their_moments() -> None:
    scene = Scene()
    scene.add(60, "late")
    scene.add(20, "first")
    scene.loop.advance(0.01)
    scene.add(20, "second")
    scene.loop.advance(0.009)
    assert scene.due == []
    scene.loop.advance(0.002)
    assert scene.due == ["first"]
    scene.loop.advance(0.008)
    assert scene.due == ["first"]
    scene.loop.advance(0.1)
    assert scene.due == ["first", "second", "late"]


def test_cancelled_deadline_is_never_due_and_those_behind_it_are() -> None:
    scene = Scene()
    first, _, third = (scene.add(10, name) for name in ("first", "second", "third"))
    first.cancel()
    third.cancel()
    scene.loop.advance(0.05)
    third.cancel()
    assert scene.due == ["second"]


def test_deadline_added_by_a_due_one_is_due_too() -> None:
    scene = Scene()

    def again() -> None:
        scene.add(5, "next")

    scene.deadlines.add(5, again)
    scene.loop.advance(0.0051)
    assert scene.due == []
    scene.loop.advance(0.005)
    assert scene.due == ["next"]


def test_many_deadlines_need_one_timer_and_leave_nothing() -> None:
    scene = Scene()
    for _ in range(1_000):
        scene.add(10_000, "never").cancel()
    assert scene.loop.timers_set == 1
    assert sum(len(queue) for queue in scene.deadlines._queues.values()) <= 1
    scene.loop.advance(11)
    assert (scene.due, scene.deadlines._queues) == ([], {})
