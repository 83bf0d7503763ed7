"""`POST /orders/{order_id}/replace`: the command written, if any, and each response."""

import asyncio
import json
from typing import Any

import pytest
from msgspec import structs

from schemas import ids
from schemas.commands import AmendOrder
from schemas.executions import CHANGES_LEVEL, CommandRefused, OrderAmended, RefusalCode
from schemas.rest import OrderResource
from schemas.units import rfc3339
from tests.support.ingest_context import (
    BROKER,
    NOW_MS,
    FakeSender,
    IngestHarness,
    resource,
    run_scenario,
)

ID = ids.order_id(1_800_000_000_000, 1, 7)
PATH = f"/orders/{ID}/replace"
LATER = NOW_MS + 60_000
# The harness counts up for random bytes.
CALL = "0001020304050607"


def harness_with_open_order(**changes: Any) -> IngestHarness:
    harness = IngestHarness(FakeSender())
    harness.orders[ID] = resource(ID, client_order_id="mine", **changes)
    return harness


def after(harness: IngestHarness, **changes: Any) -> OrderResource:
    """Let the reader have the order after the outcome."""
    order = structs.replace(harness.orders[ID], updated_at=rfc3339(NOW_MS + 1), **changes)
    harness.orders[ID] = order
    return order


def amended(**changes: Any) -> OrderAmended:
    event = OrderAmended(ID, BROKER.broker_id, CALL, "A", "bid", 6, 8, 2, 8)
    return structs.replace(event, **changes)


def refused(code: RefusalCode) -> CommandRefused:
    return CommandRefused(code, ID, BROKER.broker_id, request=CALL)


async def sent_command(harness: IngestHarness) -> AmendOrder:
    command = await harness.command()
    assert isinstance(command, AmendOrder)
    return command


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ({"quantity": 8, "price": 6}, (8, 10, 6, None)),
        ({"quantity": 8}, (8, 10, None, None)),
        ({"price": 6, "quantity": None}, (None, None, 6, None)),
        ({"valid_until": rfc3339(LATER)}, (None, None, None, LATER)),
    ],
)
def test_replacement_names_the_quantity_that_it_replaces_and_answers_with_the_order(
    body: dict[str, Any], values: tuple[int | None, int | None, int | None, int | None]
) -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        pending = asyncio.create_task(harness.post(PATH, json.dumps(body).encode()))
        command = await sent_command(harness)
        assert command == AmendOrder(ID, BROKER.broker_id, CALL, *values)
        ((topic, partition, key, _),) = harness.sender.sent
        assert (topic, partition, key) == ("t-exchange.commands.v1", 1, None)
        order = after(harness, quantity=8, price=6, remaining_quantity=8)
        harness.publish(amended())
        response = await pending
        assert response.status == 200
        assert response.body["updated_at"] == order.updated_at
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_replacement_of_a_post_only_order_says_so() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        harness.orders[ID] = structs.replace(harness.orders[ID], post_only=True)
        pending = asyncio.create_task(harness.post(PATH, b'{"price":6}'))
        assert (await sent_command(harness)).post_only
        harness.publish(refused("post_only_would_trade"))
        response = await pending
        assert (response.status, response.body["code"]) == (409, "post_only_would_trade")

    run_scenario(scenario)


def test_outcome_of_another_call_for_the_same_order_is_no_answer() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        pending = asyncio.create_task(harness.post(PATH, b'{"price":6}'))
        await sent_command(harness)
        harness.publish(amended(request="ffffffffffffffff", price=9))
        harness.publish(CommandRefused("order_not_open", ID, BROKER.broker_id))
        await asyncio.sleep(0)
        assert not pending.done()
        after(harness, price=6, remaining_quantity=8)
        harness.publish(amended())
        assert (await pending).status == 200

    run_scenario(scenario)


def test_reader_that_lags_behind_the_outcome_is_waited_for() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        pending = asyncio.create_task(harness.post(PATH, b'{"price":6}'))
        await sent_command(harness)
        harness.publish(amended())
        await asyncio.sleep(0.01)
        assert not pending.done()
        after(harness, price=6, remaining_quantity=8)
        assert (await pending).body["price"] == 6

    run_scenario(scenario)


def test_reader_that_is_lost_after_the_outcome_leaves_the_order_to_be_read_later() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        pending = asyncio.create_task(harness.post(PATH, b'{"price":6}'))
        await sent_command(harness)
        harness.reader_unavailable = True
        harness.publish(amended())
        response = await pending
        assert (response.status, response.body["status"]) == (202, "pending")

    run_scenario(scenario)


def test_order_that_is_closed_meanwhile_is_too_late_to_replace() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        pending = asyncio.create_task(harness.post(PATH, b'{"price":6}'))
        await sent_command(harness)
        after(harness, closed_reason="filled", status="closed")
        harness.publish(refused("order_not_open"))
        response = await pending
        assert (response.status, response.body["code"]) == (409, "too_late_to_replace")
        assert response.body["order"]["closed_reason"] == "filled"

    run_scenario(scenario)


def test_closed_order_is_refused_without_a_command() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order(closed_reason="cancelled")
        response = await harness.post(PATH, b'{"price":6}')
        assert (response.status, response.body["code"]) == (409, "too_late_to_replace")
        assert harness.sender.sent == []

    run_scenario(scenario)


@pytest.mark.parametrize("key", ["alfa", "beta"])
def test_unknown_order_and_that_of_another_broker_are_404(key: str) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender()) if key == "alfa" else harness_with_open_order()
        response = await harness.post(PATH, b'{"price":6}', key=key)
        assert (response.status, response.body["code"]) == (404, "order_not_found")
        assert harness.sender.sent == []

    run_scenario(scenario)


@pytest.mark.parametrize("level", [0, CHANGES_LEVEL - 1])
def test_replacement_for_an_older_matcher_is_503_and_not_written(level: int) -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        harness.rules_level = level
        response = await harness.post(PATH, b'{"price":6}')
        assert (response.status, response.body["code"]) == (503, "not_accepted")
        assert harness.sender.sent == []

    run_scenario(scenario)


def test_replacement_while_the_order_cannot_be_read_is_503_and_not_written() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        harness.reader_unavailable = True
        response = await harness.post(PATH, b'{"price":6}')
        assert (response.status, response.body["code"]) == (503, "not_accepted")
        assert harness.sender.sent == []

    run_scenario(scenario)


def test_answer_that_prefers_not_to_wait_is_202() -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        response = await harness.post(PATH, b'{"price":6}', prefer="respond-async")
        assert (response.status, response.body["client_order_id"]) == (202, "mine")
        assert len(harness.sender.sent) == 1

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"{}", [""]),
        (b'{"quantity":null}', [""]),
        (b'{"quantity":0}', ["/quantity"]),
        (b'{"quantity":-1,"price":"5"}', ["/quantity", "/price"]),
        (b'{"quantity":1000000001}', ["/quantity"]),
        (b'{"quantity":true}', ["/quantity"]),
        (b'{"price":0}', ["/price"]),
        (b'{"price":1.5}', ["/price"]),
        (b'{"price":5,"price":6}', ["/price"]),
        (b'{"side":"ask"}', ["/side", ""]),
        (b'{"valid_until":"2020-01-01T00:00:00Z"}', ["/valid_until"]),
        (b'{"valid_until":"tomorrow"}', ["/valid_until"]),
        (b"[]", [""]),
    ],
)
def test_body_that_is_not_acceptable_is_422_with_its_faults(
    body: bytes, pointers: list[str]
) -> None:
    async def scenario() -> None:
        harness = harness_with_open_order()
        response = await harness.post(PATH, body)
        assert (response.status, response.body["code"]) == (422, "invalid")
        assert [fault["pointer"] for fault in response.body["errors"]] == pointers
        assert harness.sender.sent == []

    run_scenario(scenario)
