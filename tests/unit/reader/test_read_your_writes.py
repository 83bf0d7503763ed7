"""Reads of new orders: they wait for the outcome, in bounded time, up to the end of the log."""

import asyncio
import threading
import time

import pytest

from services.api.app import ProblemError, Response
from services.reader import read_your_writes
from services.reader.errors import ViewBehindError
from services.reader.read_your_writes import FRESH_MS, WAIT_S, Waiting
from tests.support.reader_bench import ReaderBench, stocked_bench
from tests.support.reader_outcomes import BOB, CAROL, T0, batch, limit, oid


@pytest.fixture
def bench() -> ReaderBench:
    return stocked_bench()


def test_new_order_is_awaited_and_returned_when_applied(
    bench: ReaderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_your_writes, "WAIT_S", 30)
    bench.now = T0 + 8

    async def request() -> Response:
        pending = asyncio.create_task(bench.respond(f"/orders/{oid(8)}", CAROL))
        await asyncio.sleep(0.05)
        bench.reader.apply(batch(limit(7, BOB, "bid", 1, 10), first=8))
        await asyncio.sleep(0)
        assert not pending.done()
        bench.reader.apply(batch(limit(8, CAROL, "bid", 1, 10), first=9))
        return await asyncio.wait_for(pending, 15)

    assert asyncio.run(request()).status == 200
    assert bench.archive.reads == 0


def test_new_order_that_never_arrives_is_404_in_bounded_time(
    bench: ReaderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_your_writes, "WAIT_S", 0.2)
    bench.now = T0 + 8
    start = time.monotonic()
    assert bench.refused(f"/orders/{oid(8)}").status == 404
    assert 0.2 <= time.monotonic() - start < WAIT_S
    assert bench.archive.reads == 1


@pytest.mark.parametrize("ends", [pytest.param({0: 9}, id="a command more"), None])
def test_order_that_may_still_arrive_is_503_in_bounded_time(
    bench: ReaderBench, ends: dict[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_your_writes, "END_WAIT_S", 0.1)
    bench.ends = ends
    start = time.monotonic()
    problem = bench.refused(f"/orders/{oid(8)}", CAROL)
    assert (problem.status, problem.code) == (503, "not_accepted")
    assert time.monotonic() - start < WAIT_S


def test_order_that_arrives_before_the_end_of_the_log_is_returned(bench: ReaderBench) -> None:
    bench.ends = {0: 10}

    async def request() -> Response:
        pending = asyncio.create_task(bench.respond(f"/orders/{oid(8)}", CAROL))
        await asyncio.sleep(0.05)
        bench.reader.apply(batch(limit(7, BOB, "bid", 1, 10), first=8))
        await asyncio.sleep(0.05)
        assert not pending.done()
        bench.reader.apply(batch(limit(8, CAROL, "bid", 1, 10), first=9))
        return await pending

    assert asyncio.run(request()).status == 200


def test_order_absent_up_to_the_end_of_the_log_is_404(bench: ReaderBench) -> None:
    bench.ends = {0: 9}

    async def request() -> None:
        pending = asyncio.create_task(bench.respond(f"/orders/{oid(99)}", CAROL))
        await asyncio.sleep(0.05)
        bench.reader.apply(batch(limit(7, BOB, "bid", 1, 10), first=8))
        await pending

    with pytest.raises(ProblemError) as raised:
        asyncio.run(request())
    assert raised.value.status == 404


def test_log_end_reads_are_shared_and_never_answered_by_an_earlier_read(
    bench: ReaderBench,
) -> None:
    going, first, stop = threading.Event(), threading.Event(), 9
    requested: list[int] = []

    def end(_: int) -> int:
        requested.append(stop)
        first.set()
        going.wait(5)
        return 8 if len(requested) == 1 else stop

    waiting = Waiting(bench.views, end)

    async def request() -> list[object]:
        looks = [asyncio.create_task(waiting.last_look(oid(8)))]
        await asyncio.to_thread(first.wait, 5)
        looks += [asyncio.create_task(waiting.last_look(oid(8))) for _ in range(3)]
        await asyncio.sleep(0.05)
        going.set()
        return list(await asyncio.gather(*looks, return_exceptions=True))

    first_answer, *later = asyncio.run(request())
    assert first_answer is None
    assert [type(each) for each in later] == [ViewBehindError] * 3
    assert len(requested) == 2


@pytest.mark.parametrize("age_ms", [FRESH_MS + 1, -FRESH_MS - 1])
def test_order_id_of_another_time_is_not_awaited(
    bench: ReaderBench, age_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_your_writes, "WAIT_S", 30)
    bench.now = T0 + 8 + age_ms
    start = time.monotonic()
    assert bench.refused(f"/orders/{oid(8)}").status == 404
    assert time.monotonic() - start < 15
