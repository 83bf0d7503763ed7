"""`POST /orders/{order_id}/cancel`: the command written, if any, and each response."""

import asyncio

import pytest

from schemas import ids
from schemas.commands import CancelOrder
from schemas.executions import CommandRefused, Expired, OrderCancelled, RefusalCode, Ticked
from services.runtime.kafka.producer import DeliveryResult
from tests.support.ingest_context import (
    BROKER,
    OTHER,
    FakeSender,
    IngestHarness,
    resource,
    run_scenario,
)

ID = ids.order_id(1_800_000_000_000, 1, 7)
PATH = f"/orders/{ID}/cancel"
CANCELLED = OrderCancelled(ID, BROKER.broker_id, "A", 10, 2)
RETURN = "return=representation"


def refusal(code: RefusalCode, broker_id: str = BROKER.broker_id) -> CommandRefused:
    return CommandRefused(code, ID, broker_id)


def bench_with_open_order(
    result: DeliveryResult | None = "stored", wait_ms: int = 2_000
) -> IngestHarness:
    harness = IngestHarness(FakeSender(result), wait_ms=wait_ms)
    harness.orders[ID] = resource(ID, client_order_id="mine")
    return harness


@pytest.mark.parametrize("path", [PATH, PATH.replace(ID, ID.upper())])
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_open_order_is_cancelled(body: bytes, path: str) -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        pending = asyncio.create_task(harness.post(path, body))
        command = await harness.command()
        assert command == CancelOrder(ID, BROKER.broker_id)
        ((topic, partition, key, _),) = harness.sender.sent
        assert (topic, partition, key) == ("t-exchange.commands.v1", 1, None)
        harness.publish(CANCELLED)
        response = await pending
        assert (response.status, response.raw) == (204, b"")
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_order_that_expires_first_is_answered_as_cancelled() -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        pending = asyncio.create_task(harness.post(PATH))
        await harness.command()
        expired = Expired(ID, BROKER.broker_id, "A", 10, 2)
        harness.publish(refusal("order_not_open"), expired)
        assert (await pending).status == 204

    run_scenario(scenario)


@pytest.mark.parametrize("expired_elsewhere", [False, True])
def test_all_requests_that_cancel_the_same_order_are_answered(expired_elsewhere: bool) -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        pending = [asyncio.create_task(harness.post(PATH)) for _ in range(3)]
        await harness.command(3)
        if expired_elsewhere:
            harness.publish(Ticked(), Expired(ID, BROKER.broker_id, "A", 10, 2))
        else:
            harness.publish(CANCELLED)
        assert [response.status for response in await asyncio.gather(*pending)] == [204] * 3
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_representation_is_returned_when_preferred() -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        pending = asyncio.create_task(harness.post(PATH, prefer=RETURN))
        await harness.command()
        harness.orders[ID] = resource(ID, closed_reason="cancelled")
        harness.publish(CANCELLED)
        now, later = await pending, await harness.post(PATH, prefer=RETURN)
        for response in (now, later):
            assert (response.status, response.body["closed_reason"]) == (200, "cancelled")
            assert response.headers["preference-applied"] == "return=representation"
        assert len(harness.sender.sent) == 1

    run_scenario(scenario)


def test_representation_that_cannot_be_read_is_omitted() -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        pending = asyncio.create_task(harness.post(PATH, prefer=RETURN))
        await harness.command()
        harness.reader_unavailable = True
        harness.publish(CANCELLED)
        response = await pending
        assert response.status == 204
        assert "preference-applied" not in response.headers

    run_scenario(scenario)


@pytest.mark.parametrize(
    "order_id",
    [
        "x",
        ID[:-1],
        ID + "0",
        ID.replace("7", "4", 1),
        ID[:-1] + "g",
        ids.order_id(1_800_000_000_000, 2, 7),
        ids.order_id(1_800_000_000_000, 0xFFF, 7),
        "..%2F..%2Fbalance",
        "%00",
    ],
)
def test_id_not_issued_by_this_exchange_is_404_without_a_read(order_id: str) -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        harness.reader_unavailable = True
        response = await harness.post(f"/orders/{order_id}/cancel")
        assert (response.status, response.body["code"]) == (404, "order_not_found")
        assert harness.sender.sent == []

    run_scenario(scenario)


def test_unknown_order_and_another_brokers_order_give_the_same_404_and_write_nothing() -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        unknown = ids.order_id(1_800_000_000_000, 1, 8)
        answers = [
            await harness.post(PATH, key="beta"),
            await harness.post(f"/orders/{unknown}/cancel"),
        ]
        bodies = [response.body | {"request_id": ""} for response in answers]
        assert bodies[0] == bodies[1]
        assert answers[0].status == 404
        assert harness.sender.sent == []

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        *(("cancelled", 204), ("expired", 204), ("self_trade", 204), ("price_band", 204)),
        *(("filled", 409), ("no_liquidity", 409)),
    ],
)
def test_closed_order_is_answered_from_its_stored_state(reason: str, status: int) -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        harness.orders[ID] = resource(ID, closed_reason=reason)
        response = await harness.post(PATH)
        assert response.status == status
        if status == 409:
            assert response.body["code"] == "too_late_to_cancel"
            assert response.body["order"]["closed_reason"] == reason
        assert harness.sender.sent == []

    run_scenario(scenario)


def test_order_filled_meanwhile_is_too_late_after_the_reader_has_it() -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        pending = asyncio.create_task(harness.post(PATH))
        await harness.command()
        harness.publish(refusal("order_not_open"))
        await asyncio.sleep(0.01)
        assert not pending.done()
        harness.orders[ID] = resource(ID, closed_reason="filled", remaining_quantity=0)
        response = await pending
        assert (response.status, response.body["code"]) == (409, "too_late_to_cancel")

    run_scenario(scenario)


def test_order_not_open_whose_state_cannot_be_read_is_503() -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        harness.reader_unavailable = True
        pending = asyncio.create_task(harness.post(PATH))
        await harness.command()
        harness.publish(refusal("order_not_open"))
        response = await pending
        assert (response.status, response.body["code"]) == (503, "not_accepted")
        assert "not open" in response.body["detail"]

    run_scenario(scenario)


def test_refusal_of_another_broker_leaves_the_request_of_the_owner_pending() -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        harness.reader_unavailable = True
        owner = asyncio.create_task(harness.post(PATH))
        other = asyncio.create_task(harness.post(PATH, key="beta"))
        await harness.command(2)
        harness.publish(refusal("not_owner", OTHER.broker_id))
        response = await other
        assert (response.status, response.body["code"]) == (404, "order_not_found")
        assert not owner.done()
        harness.publish(CANCELLED)
        assert (await owner).status == 204

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("result", "status"), [("stored", 202), ("not_stored", 503), ("unknown", 504), (None, 504)]
)
def test_missing_outcome_is_answered_by_the_delivery_result(
    result: DeliveryResult | None, status: int
) -> None:
    async def scenario() -> None:
        harness = bench_with_open_order(result, wait_ms=5)
        response = await harness.post(PATH)
        assert response.status == status
        if status == 202:
            assert response.body["client_order_id"] == "mine"
            assert response.headers["location"] == f"/orders/{ID}"
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_body_with_fields_is_refused() -> None:
    async def scenario() -> None:
        harness = bench_with_open_order()
        assert (await harness.post(PATH, b'{"a":1}')).status == 422
        assert (await harness.post(PATH, b"x")).status == 400
        assert harness.sender.sent == []

    run_scenario(scenario)
