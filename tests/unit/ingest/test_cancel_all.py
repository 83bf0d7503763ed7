"""`POST /orders/cancel-all` against a fake log."""

import asyncio
from typing import Any

import pytest

from schemas.codec import decode_command
from schemas.commands import CancelAll
from schemas.executions import CONTROLS_LEVEL, CancelledOrder, OrdersCancelled
from tests.support.asgi_driver import AsgiResponse
from tests.support.ingest_context import BROKER, FakeSender, IngestHarness, run_scenario

PATH = "/orders/cancel-all"


def ids_of_requests() -> Any:
    """Random bytes that differ from call to call."""
    numbers = iter(range(1, 1_000))
    return lambda count: next(numbers).to_bytes(count, "big")


async def commands(harness: IngestHarness, count: int) -> list[CancelAll]:
    """The commands, once `count` of them were sent."""
    while len(harness.sender.sent) < count:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    found = [decode_command(value) for _, _, _, value in harness.sender.sent]
    assert all(isinstance(each, CancelAll) for each in found)
    return [each for each in found if isinstance(each, CancelAll)]


def cancelled(command: CancelAll, *ids: str, more: bool = False) -> OrdersCancelled:
    """The outcome of the command."""
    orders = tuple(CancelledOrder(each, "A", 1, 1) for each in ids)
    return OrdersCancelled(command.broker_id, command.request, orders, more)


def test_every_partition_gets_one_command_and_the_answer_sums_them() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender(), randomness=ids_of_requests())
        pending = asyncio.create_task(harness.post(PATH))
        first, second = await commands(harness, 2)
        assert [(number, key) for _, number, key, _ in harness.sender.sent] == [
            (0, None),
            (1, None),
        ]
        assert (first.broker_id, first.symbol, first.side) == (BROKER.broker_id, None, None)
        assert first.request != second.request
        harness.publish(cancelled(second, "c"))
        await asyncio.sleep(0)
        assert not pending.done()
        harness.publish(cancelled(first, "a", "b"))
        response = await pending
        assert response.status == 200
        assert response.body == {
            "cancelled_count": 3,
            "cancelled": ["a", "b", "c"],
            "pending_partitions": [],
        }
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_symbol_and_side_go_to_the_partition_of_the_symbol_alone() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender(), randomness=ids_of_requests())
        pending = asyncio.create_task(harness.post(f"{PATH}?symbol=A&side=bid"))
        (command,) = await commands(harness, 1)
        assert (command.symbol, command.side) == ("A", "bid")
        ((_, number, key, _),) = harness.sender.sent
        assert (number, key) == (harness.partition_map.partition("A"), b"A")
        harness.publish(cancelled(command))
        response = await pending
        assert (response.status, response.body["cancelled_count"]) == (200, 0)

    run_scenario(scenario)


def test_more_open_orders_than_a_command_cancels_get_another_command() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender(), randomness=ids_of_requests())
        pending = asyncio.create_task(harness.post(f"{PATH}?symbol=A"))
        (first,) = await commands(harness, 1)
        many = [str(number) for number in range(1_001)]
        harness.publish(cancelled(first, *many, more=True))
        _, second = await commands(harness, 2)
        assert second.request != first.request
        assert (second.symbol, second.side) == (first.symbol, first.side)
        harness.publish(cancelled(second, "last"))
        response = await pending
        assert response.status == 200
        assert response.body["cancelled_count"] == 1_002
        assert response.body["cancelled"] == many[:1_000]

    run_scenario(scenario)


def test_partition_without_an_outcome_in_time_is_named_by_a_202() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender(), wait_ms=20, randomness=ids_of_requests())
        pending = asyncio.create_task(harness.post(PATH))
        first, _ = await commands(harness, 2)
        harness.publish(cancelled(first, "a"))
        response = await pending
        assert (response.status, response.body["pending_partitions"]) == (202, [1])
        assert response.body["cancelled"] == ["a"]

    run_scenario(scenario)


def test_older_matcher_is_503_and_nothing_is_written() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        harness.rules_level = CONTROLS_LEVEL - 1
        response = await harness.post(PATH)
        assert (response.status, response.body["code"]) == (503, "not_accepted")
        assert harness.sender.sent == []

    run_scenario(scenario)


class FailingSender(FakeSender):
    """Refuses everything behind the first record."""

    def send(self, *record: Any) -> None:
        super().send(*record)
        self.refusal = BufferError()


def test_command_that_only_some_partitions_got_is_504() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FailingSender(), randomness=ids_of_requests())
        response = await harness.post(PATH)
        assert (response.status, response.body["code"]) == (504, "outcome_unknown")

    run_scenario(scenario)


@pytest.mark.parametrize("result", ["refused", "not_stored", "unknown"])
def test_next_command_that_fails_behind_cancelled_orders_is_504(result: Any) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender(), wait_ms=60_000, randomness=ids_of_requests())
        pending = asyncio.create_task(harness.post(f"{PATH}?symbol=A"))
        (first,) = await commands(harness, 1)
        if result == "refused":
            harness.sender.refusal = BufferError()
        else:
            harness.sender.result = result
        harness.publish(cancelled(first, "a", more=True))
        response = await pending
        assert (response.status, response.body["code"]) == (504, "outcome_unknown")
        assert len(harness.waiters) == 0

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{PATH}?symbol=a", b""),
        (f"{PATH}?symbol=", b""),
        (f"{PATH}?side=buy", b""),
        (f"{PATH}?side=bid&side=ask", b""),
        (f"{PATH}?colour=1", b""),
        (PATH, b'{"symbol":"A"}'),
    ],
)
def test_unusable_request_is_422_and_nothing_is_written(path: str, body: bytes) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        response: AsgiResponse = await harness.post(path, body)
        assert (response.status, response.body["code"]) == (422, "invalid")
        assert harness.sender.sent == []

    run_scenario(scenario)
