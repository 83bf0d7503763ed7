"""Slices of a flush: others run in between, and a long flush ends its pauses."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from services.feeds import slices
from services.feeds.slices import PAUSE_S, Slices

TURNS = 20


def turns_of_others(turn: Callable[[], Awaitable[None]]) -> int:
    """Number of times that another task runs during `TURNS` turns of a flush."""
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    async def flush() -> int:
        task = asyncio.create_task(other())
        for _ in range(TURNS):
            await turn()
        task.cancel()
        return others

    return asyncio.run(flush())


def test_work_within_a_slice_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_S", 60.0)
    assert turns_of_others(Slices().turn) == 0
    assert turns_of_others(Slices().pause) == 0


def test_flush_pauses_between_slices_that_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    monkeypatch.setattr(slices, "PAUSES_S", 60.0)
    started_s = time.monotonic()
    turns_of_others(Slices().pause)
    assert time.monotonic() - started_s >= TURNS * PAUSE_S
    assert turns_of_others(Slices().turn) == TURNS


def test_long_flush_turns_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    monkeypatch.setattr(slices, "PAUSES_S", 0.0)
    assert turns_of_others(Slices().pause) == TURNS
