"""`POST /orders/batch`: the commands written, and one result for each item."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from schemas import ids
from schemas.batch import BATCH_BYTES_MAX, BatchResults
from schemas.codec import decode_command
from schemas.commands import AmendOrder, CancelOrder, PlaceOrder
from schemas.executions import CommandRefused, OrderCancelled, OrderRepeated
from services.api.rate_limits import RateLimits
from tests.support.asgi_driver import AsgiResponse
from tests.support.ingest_context import (
    BROKER,
    NOW_MS,
    FakeSender,
    IngestHarness,
    accepted,
    resource,
    run_scenario,
)

PATH = "/orders/batch"
OPEN = ids.order_id(NOW_MS, 1, 7)
ALSO_OPEN = ids.order_id(NOW_MS, 0, 8)
UNKNOWN = ids.order_id(NOW_MS, 1, 9)
_decode = msgspec.json.Decoder(BatchResults).decode


def place(number: int = 1, symbol: str = "A", **more: Any) -> dict[str, Any]:
    order = {"document_number": "1", "side": "bid", "symbol": symbol, "quantity": 10, "price": 5}
    return {"place": order | {"client_order_id": f"c-{number}"} | more}


def cancel(order_id: str) -> dict[str, Any]:
    return {"cancel": {"order_id": order_id}}


def body_of(*items: Any) -> bytes:
    return json.dumps({"items": items}).encode()


def statuses(response: AsgiResponse) -> list[int]:
    """Statuses of the results, whose form is checked."""
    assert response.status == 200, response.raw
    results = _decode(response.raw).results
    assert len(results) == len(response.body["results"])
    return [result.status for result in results]


def codes(response: AsgiResponse) -> list[str]:
    return [result.get("problem", {}).get("code", "") for result in response.body["results"]]


class BatchHarness(IngestHarness):
    """Answers each command as a matcher would that finds no counterparty."""

    def __init__(self, sender: FakeSender, **options: Any) -> None:
        count = iter(range(1_000))
        super().__init__(
            sender, randomness=lambda size: next(count).to_bytes(size, "big"), **options
        )
        for order_id in (OPEN, ALSO_OPEN):
            self.orders[order_id] = resource(order_id)

    def commands(self) -> list[PlaceOrder | CancelOrder]:
        read = [decode_command(value) for _, _, _, value in self.sender.sent]
        return [command for command in read if isinstance(command, PlaceOrder | CancelOrder)]

    async def batch(self, *items: Any, count: int, prefer: str = "") -> AsgiResponse:
        """Send a batch of which `count` commands are sent, and publish their outcomes."""
        running = asyncio.create_task(self.post(PATH, body_of(*items), prefer=prefer))
        await self.command(count)
        for command in self.commands():
            if isinstance(command, PlaceOrder):
                self.publish(accepted(command.order_id, client_order_id=command.client_order_id))
            else:
                self.publish(OrderCancelled(command.order_id, command.broker_id, "A", 10, 2))
        return await running


def test_items_are_written_in_their_order_and_answered_in_it() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        response = await harness.batch(
            place(1), cancel(OPEN), place(2, "B"), cancel(UNKNOWN), place(3), count=4
        )
        assert statuses(response) == [201, 204, 201, 404, 201]
        sent = harness.commands()
        assert [getattr(each, "client_order_id", each.order_id) for each in sent] == [
            "c-1",
            OPEN,
            "c-2",
            "c-3",
        ]
        results = response.body["results"]
        assert [each["order"]["client_order_id"] for each in results if "order" in each] == [
            "c-1",
            "c-2",
            "c-3",
        ]
        assert results[1] == {"status": 204}
        assert results[3]["problem"]["code"] == "order_not_found"
        assert results[3]["problem"]["request_id"] == response.headers["x-request-id"]
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_result_is_the_body_of_the_single_call() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        response = await harness.batch(place(1), count=1)
        single = asyncio.create_task(
            harness.post("/orders", json.dumps(place(1)["place"]).encode())
        )
        command = await harness.command(2)
        harness.publish(accepted(command.order_id, client_order_id="c-1"))
        order = (await single).body
        changed = {"order_id": command.order_id, "id": command.order_id}
        assert response.body["results"][0]["order"] | changed == order

    run_scenario(scenario)


def test_repeated_and_reused_client_order_ids_have_the_results_of_single_calls() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        running = asyncio.create_task(
            harness.post(PATH, body_of(place(1), place(1), place(1, price=6)))
        )
        await harness.command(3)
        first, second, third = (command.order_id for command in harness.commands())
        harness.orders[first] = resource(first)
        harness.publish(accepted(first))
        harness.publish(OrderRepeated(second, BROKER.broker_id, first))
        harness.publish(CommandRefused("client_order_id_reused", third, BROKER.broker_id, first))
        response = await running
        assert statuses(response) == [201, 200, 409]
        assert response.body["results"][1]["order"]["order_id"] == first
        assert codes(response)[2] == "client_order_id_reused"

    run_scenario(scenario)


@pytest.mark.parametrize("body", [body_of(), body_of(*[cancel(OPEN)] * 101), b"{", b"[]", b""])
def test_faulty_batch_writes_nothing(body: bytes) -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        assert (await harness.post(PATH, body)).status in (400, 422)
        faulty = body_of(place(1), place(2, quantity=0))
        response = await harness.post(PATH, faulty)
        assert (response.status, response.body["code"]) == (422, "invalid")
        assert harness.sender.sent == []

    run_scenario(scenario)


def test_body_may_have_64_kib_and_no_byte_more() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        body = body_of(cancel(UNKNOWN))
        fitting = body + b" " * (BATCH_BYTES_MAX - len(body))
        assert statuses(await harness.post(PATH, fitting)) == [404]
        response = await harness.post(PATH, fitting + b" ")
        assert (response.status, response.body["code"]) == (413, "body_too_large")
        # All other calls keep their own bound.
        assert (await harness.post("/orders", fitting)).status == 413

    run_scenario(scenario)


def test_items_without_an_outcome_in_time_are_pending() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender(), wait_ms=20)
        running = asyncio.create_task(harness.post(PATH, body_of(place(1), cancel(OPEN), place(2))))
        await harness.command(3)
        harness.publish(accepted(harness.commands()[2].order_id))
        response = await running
        assert statuses(response) == [202, 202, 201]
        pending = response.body["results"][0]["pending"]
        assert (pending["status"], pending["client_order_id"]) == ("pending", "c-1")
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_preferences_apply_to_all_items() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        response = await harness.post(PATH, body_of(place(1), cancel(OPEN)), prefer="respond-async")
        assert statuses(response) == [202, 202]
        assert response.headers["preference-applied"] == "respond-async"
        harness.orders[ALSO_OPEN] = resource(ALSO_OPEN, closed_reason="cancelled")
        response = await harness.post(
            PATH, body_of(cancel(ALSO_OPEN)), prefer="return=representation"
        )
        assert statuses(response) == [200]
        assert response.body["results"][0]["order"]["closed_reason"] == "cancelled"
        assert response.headers["preference-applied"] == "return=representation"

    run_scenario(scenario)


def test_items_beyond_the_records_in_flight_are_not_accepted() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender(None), in_flight_max=2, wait_ms=20)
        running = asyncio.create_task(harness.post(PATH, body_of(*map(place, range(4)))))
        await harness.command(2)
        for report in harness.sender.pending:
            report("stored")
        response = await running
        assert statuses(response) == [202, 202, 503, 503]
        assert codes(response) == ["", "", "not_accepted", "not_accepted"]

    run_scenario(scenario)


def test_records_that_were_not_stored_or_are_unknown_have_a_result_each() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender(None), wait_ms=20, delivery_ms=-900)
        running = asyncio.create_task(harness.post(PATH, body_of(*map(place, range(3)))))
        await harness.command(3)
        stored, refused, _ = harness.sender.pending
        stored("stored")
        refused("not_stored")
        response = await running
        assert statuses(response) == [202, 503, 504]
        assert codes(response) == ["", "not_accepted", "outcome_unknown"]

    run_scenario(scenario)


def test_budgets_count_items() -> None:
    async def scenario() -> None:
        # Two seconds' worth is saved up: 4 orders, and 6 cancels of which the call takes one.
        limits = RateLimits(orders_per_second=2, cancels_per_second=3)
        harness = BatchHarness(FakeSender(), limits=limits)
        orders = map(place, range(6))
        response = await harness.batch(*orders, *[cancel(OPEN)] * 6, count=9)
        assert statuses(response) == [201] * 4 + [429] * 2 + [204] * 5 + [429]
        assert codes(response)[5] == "rate_limited"
        assert (await harness.post(PATH, body_of(place(9)))).status == 429

    run_scenario(scenario)


def test_cancels_of_unknown_orders_cost_as_in_single_calls() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender(), limits=RateLimits(cancels_per_second=10))
        response = await harness.post(PATH, body_of(cancel(UNKNOWN), cancel("no id")))
        assert statuses(response) == [404, 404]
        # Each costs ten more than itself; twenty were saved up.
        assert (await harness.post(PATH, body_of(place()))).status == 429

    run_scenario(scenario)


def test_reader_that_is_away_leaves_the_decision_to_the_matcher() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        harness.reader_unavailable = True
        assert statuses(await harness.batch(cancel(OPEN), place(1), count=2)) == [204, 201]

    run_scenario(scenario)


def test_batch_needs_a_brokers_key() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        assert (await harness.post(PATH, body_of(place(1)), key="wrong")).status == 401
        assert harness.sender.sent == []

    run_scenario(scenario)


def named(number: int, kind: str = "cancel", **values: int) -> dict[str, Any]:
    return {kind: {"symbol": "A", "client_order_id": f"c-{number}"} | values}


def test_order_of_the_same_batch_is_cancelled_by_its_client_order_id() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        # An item further back does not count, nor does the broker's older order of this name.
        harness.orders[OPEN] = resource(OPEN, client_order_id="c-1")
        response = await harness.batch(named(2), place(2), place(1), named(2), count=3)
        assert statuses(response) == [404, 201, 201, 204]
        second, first, cancelled = harness.commands()
        assert cancelled == CancelOrder(second.order_id, BROKER.broker_id)
        assert first.order_id != second.order_id

    run_scenario(scenario)


def test_order_of_an_item_that_was_not_sent_is_not_cancelled() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender(), limits=RateLimits(orders_per_second=1))
        items = body_of(place(1), place(2), place(3), named(3))
        response = await harness.post(PATH, items, prefer="respond-async")
        assert statuses(response) == [202, 202, 429, 503]
        assert len(harness.commands()) == 2

    run_scenario(scenario)


def test_orders_are_looked_up_by_client_order_id() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        harness.orders[OPEN] = resource(OPEN, client_order_id="c-1")
        response = await harness.batch(named(1), named(7), count=1)
        assert statuses(response) == [204, 404]
        assert harness.commands() == [CancelOrder(OPEN, BROKER.broker_id)]
        harness.reader_unavailable = True
        response = await harness.post(PATH, body_of(named(1), named(1, "replace", price=6)))
        assert statuses(response) == [503, 503]

    run_scenario(scenario)


def test_replacement_by_client_order_id_names_the_order_and_its_quantity() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        harness.orders[OPEN] = resource(OPEN, client_order_id="c-1")
        items = body_of(named(1, "replace", quantity=7))
        response = await harness.post(PATH, items, prefer="respond-async")
        assert statuses(response) == [202]
        command = await harness.command()
        assert isinstance(command, AmendOrder)
        assert (command.order_id, command.quantity, command.of_quantity) == (OPEN, 7, 10)

    run_scenario(scenario)


def test_cancel_of_a_repeated_order_cancels_its_first_attempt() -> None:
    async def scenario() -> None:
        harness = BatchHarness(FakeSender())
        running = asyncio.create_task(harness.post(PATH, body_of(place(1), named(1))))
        await harness.command(2)
        repeated, cancelled = harness.commands()
        assert repeated.order_id == cancelled.order_id
        harness.publish(OrderRepeated(repeated.order_id, BROKER.broker_id, OPEN))
        harness.publish(CommandRefused("order_not_open", repeated.order_id, BROKER.broker_id))
        await harness.command(3)
        assert harness.commands()[2] == CancelOrder(OPEN, BROKER.broker_id)
        harness.publish(OrderCancelled(OPEN, BROKER.broker_id, "A", 10, 2))
        assert statuses(await running) == [200, 204]

    run_scenario(scenario)
