"""A command whose delivery fails: answered at once, not after the wait for its outcome."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from schemas import ids
from schemas.executions import OrderCancelled
from services.api.messages import ProblemError
from services.feeds.left_orders import GatewayProcess
from services.feeds.order_calls import GatewayOrders
from services.ingest.prefer import Preferences
from services.runtime.kafka.producer import DeliveryResult
from tests.support.asgi_driver import AsgiResponse
from tests.support.feed_session import NamedInMemory
from tests.support.ingest_context import (
    BROKER,
    NOW_MS,
    ORDER,
    FakeSender,
    IngestHarness,
    accepted,
    call_as_admin,
    resource,
    run_scenario,
)

# Longer than a scenario may take: only the delivery result can end the wait.
WAIT_MS: Final = 60_000
OPEN: Final = ids.order_id(NOW_MS, 1, 7)
ALSO_OPEN: Final = ids.order_id(NOW_MS, 0, 8)
ANSWERS: Final = [("not_stored", 503, "not_accepted"), ("unknown", 504, "outcome_unknown")]
CALLS: Final = [
    ("/orders", ORDER),
    (f"/orders/{OPEN}/cancel", b""),
    (f"/orders/{OPEN}/replace", b'{"quantity":7}'),
    ("/orders/cancel-all?symbol=A", b""),
]
ADMIN_CALLS: Final = [
    ("POST /admin/stocks/A/phase", b'{"phase":"halted"}'),
    ("PUT /admin/stocks/A", b'{"tick_size":1,"lot_size":1,"reference_price":100}'),
]


def harness_with_open_order(result: DeliveryResult | None = None) -> IngestHarness:
    harness = IngestHarness(FakeSender(result), wait_ms=WAIT_MS, delivery_ms=WAIT_MS)
    harness.orders[OPEN] = resource(OPEN)
    return harness


async def sent(harness: IngestHarness, count: int = 1) -> None:
    """Wait until `count` commands were sent and their requests wait."""
    while len(harness.sender.pending) < count:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def report(harness: IngestHarness, *results: DeliveryResult) -> None:
    """Report the results of the first commands from another thread, as the producer does."""
    for each, result in zip(harness.sender.pending, results, strict=False):
        await asyncio.to_thread(each, result)


def shown(response: AsgiResponse) -> tuple[int, Any]:
    return response.status, response.body["code"]


@pytest.mark.parametrize(("result", "status", "code"), ANSWERS)
@pytest.mark.parametrize(("path", "body"), CALLS)
def test_failed_delivery_answers_its_request_at_once(
    path: str, body: bytes, result: DeliveryResult, status: int, code: str
) -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        pending = asyncio.create_task(harness.post(path, body))
        await sent(harness)
        assert not pending.done()
        await report(harness, result)
        assert shown(await pending) == (status, code)
        assert (len(harness.waiters), harness.publisher.in_flight) == (0, 0)

    run_scenario(scenario)


@pytest.mark.parametrize(("result", "status", "code"), ANSWERS)
@pytest.mark.parametrize(("call", "body"), ADMIN_CALLS)
def test_failed_delivery_answers_the_operator_at_once(
    call: str, body: bytes, result: DeliveryResult, status: int, code: str
) -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        pending = asyncio.create_task(call_as_admin(harness, call, body))
        await sent(harness)
        await report(harness, result)
        assert shown(await pending) == (status, code)

    run_scenario(scenario)


@pytest.mark.parametrize(("result", "status", "code"), ANSWERS)
def test_failure_known_before_the_request_waits_answers_it_too(
    result: DeliveryResult, status: int, code: str
) -> None:
    async def scenario() -> None:
        harness = harness_with_open_order(result)
        for path, body in CALLS:
            assert shown(await harness.post(path, body)) == (status, code)
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_delivered_command_waits_on_for_its_outcome() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        await report(harness, "stored")
        await asyncio.sleep(0)
        assert not pending.done()
        harness.publish(accepted(getattr(command, "order_id", "")))
        assert (await pending).status == 201

    run_scenario(scenario)


def test_outcome_before_the_failure_is_the_only_answer() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        harness.publish(accepted(getattr(command, "order_id", "")))
        await report(harness, "unknown")
        assert (await pending).status == 201

    run_scenario(scenario)


def test_failed_cancel_leaves_another_of_the_same_order_waiting() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        path = f"/orders/{OPEN}/cancel"
        first = asyncio.create_task(harness.post(path))
        await sent(harness)
        second = asyncio.create_task(harness.post(path))
        await sent(harness, 2)
        await report(harness, "unknown")
        assert (await first).status == 504
        assert not second.done()
        harness.publish(OrderCancelled(OPEN, BROKER.broker_id, "A", 10, 2))
        assert (await second).status == 204

    run_scenario(scenario)


def test_batch_of_failed_deliveries_is_answered_at_once_item_by_item() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        harness.orders[ALSO_OPEN] = resource(ALSO_OPEN)
        items = [
            {"place": json.loads(ORDER) | {"client_order_id": "c-1"}},
            {"cancel": {"order_id": OPEN}},
            {"replace": {"order_id": ALSO_OPEN, "quantity": 7}},
        ]
        body = json.dumps({"items": items}).encode()
        pending = asyncio.create_task(harness.post("/orders/batch", body))
        await sent(harness, 3)
        await report(harness, "unknown", "not_stored", "unknown")
        response = await pending
        assert [each["status"] for each in response.body["results"]] == [504, 503, 504]

    run_scenario(scenario)


@pytest.mark.parametrize(("result", "status", "code"), ANSWERS)
@pytest.mark.parametrize("call", ["place", "cancel", "cancel_all"])
def test_failed_delivery_answers_a_message_of_a_session_at_once(
    call: str, result: DeliveryResult, status: int, code: str
) -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        calls = GatewayOrders(
            harness.ingest, lambda: None, GatewayProcess("a", "01"), NamedInMemory()
        )
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        reply, wait = answered.set_result, Preferences()
        begin: dict[str, Callable[[], object]] = {
            "place": lambda: calls.place(
                calls.admit(ORDER), BROKER, wait, reply, ends_with_session=True
            ),
            "cancel": lambda: calls.cancel(OPEN, BROKER, wait, reply),
            "cancel_all": lambda: calls.cancel_all(BROKER.broker_id, "A", None, reply),
        }
        begin[call]()
        await sent(harness)
        await report(harness, result)
        problem = await answered
        assert isinstance(problem, ProblemError)
        assert (problem.response("").status, problem.code) == (status, code)

    run_scenario(scenario)
