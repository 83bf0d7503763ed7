"""Orders of sessions by ingest's own handlers."""

import asyncio

import pytest
from msgspec import structs

from schemas import ids
from schemas.codec import decode_command
from schemas.commands import AmendOrder, CancelOrder, PlaceOrder
from schemas.executions import ORIGINS_LEVEL
from schemas.orders import OrderRecord
from schemas.rest import OrderResource, ReplaceRequest
from services.api.messages import UNKNOWN_ORDER_TOKENS, ProblemError, Response
from services.feeds.left_orders import GatewayProcess
from services.feeds.order_calls import GatewayOrders
from services.feeds.order_entry import Found
from services.ingest.prefer import Preferences
from tests.support.feed_session import NamedInMemory
from tests.support.ingest_context import (
    BROKER,
    ORDER,
    FakeSender,
    IngestHarness,
    accepted,
    resource,
    run_scenario,
)

PROCESS = GatewayProcess("desk", "0a1b2c3d")


def test_order_is_found_by_its_name_at_once_in_memory_and_else_later() -> None:
    async def scenario() -> None:
        named, found = NamedInMemory(), asyncio.Queue[Found]()
        calls = GatewayOrders(IngestHarness(FakeSender()).ingest, lambda: None, PROCESS, named)
        for number, orders in enumerate((named.at_hand, named.stored)):
            event = accepted(f"order-{number}", client_order_id=f"c-{number}")
            orders[f"c-{number}"] = OrderRecord.accepted(event, 0)
        calls.find(BROKER.broker_id, "PETR4", "c-0", found.put_nowait)
        assert found.get_nowait() == "order-0"
        for name in ("c-1", "never"):
            calls.find(BROKER.broker_id, "PETR4", name, found.put_nowait)
        later, unknown = await found.get(), await found.get()
        assert later == "order-1"
        assert isinstance(unknown, ProblemError)
        assert (unknown.code, unknown.tokens) == ("order_not_found", UNKNOWN_ORDER_TOKENS)

    run_scenario(scenario)


def closed_resource(order_id: str) -> OrderResource:
    return structs.replace(resource(order_id), status="closed", closed_reason="filled")


def test_replaced_order_that_is_not_in_memory_is_looked_up_as_by_http() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        calls = GatewayOrders(harness.ingest, lambda: None, PROCESS, NamedInMemory())
        made = [ids.order_id(1_000, 0, n) for n in range(2)]
        harness.orders = {
            made[0]: resource(made[0]),
            made[1]: closed_resource(made[1]),
        }
        answers = asyncio.Queue[Response | Exception]()
        for order_id in (*made, made[0][:-1] + "f"):
            values = ReplaceRequest(quantity=7)
            calls.replace(order_id, values, BROKER, Preferences(), answers.put_nowait)
        first = [await answers.get(), await answers.get()]
        codes = [each.code for each in first if isinstance(each, ProblemError)]
        assert sorted(codes) == ["order_not_found", "too_late_to_replace"]
        command = decode_command(harness.sender.sent[0][3])
        assert isinstance(command, AmendOrder)
        assert (command.order_id, command.quantity) == (made[0], 7)

    run_scenario(scenario)


def test_stopped_gateway_refuses_every_order_and_change() -> None:
    async def scenario() -> None:
        calls = GatewayOrders(
            IngestHarness(FakeSender()).ingest, lambda: None, PROCESS, NamedInMemory()
        )
        calls.spend(BROKER.broker_id, "orders")
        calls.stop()
        for budget in ("orders", "cancels"):
            with pytest.raises(ProblemError, match="stopping") as refused:
                calls.spend(BROKER.broker_id, budget)
            assert refused.value.status == 503

    run_scenario(scenario)


@pytest.mark.parametrize("ends", [True, False])
def test_id_has_the_origin_only_if_the_order_ends_with_its_session(ends: bool) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        calls = GatewayOrders(harness.ingest, lambda: None, PROCESS, NamedInMemory())
        answers: list[Response | Exception] = []
        order_id = calls.place(
            calls.admit(ORDER), BROKER, Preferences(), answers.append, ends_with_session=ends
        )
        ((_, partition, _, value),) = harness.sender.sent
        command = decode_command(value)
        assert isinstance(command, PlaceOrder)
        assert command.order_id == order_id
        assert ids.origin_of(order_id) == (PROCESS.origin if ends else None)
        assert ids.partition_of(order_id) == partition
        harness.publish(accepted(order_id))
        assert [each.status for each in answers if isinstance(each, Response)] == [201]
        calls.withdraw(order_id, BROKER.broker_id)
        _, cancelled_on, _, value = harness.sender.sent[-1]
        assert decode_command(value) == CancelOrder(order_id, BROKER.broker_id)
        assert cancelled_on == partition

    run_scenario(scenario)


def test_order_that_ends_with_its_session_needs_a_matcher_whose_readers_know_its_id() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        harness.rules_level = ORIGINS_LEVEL - 1
        calls = GatewayOrders(harness.ingest, lambda: None, PROCESS, NamedInMemory())
        order = calls.admit(ORDER)
        with pytest.raises(ProblemError) as refused:
            calls.place(order, BROKER, Preferences(), print, ends_with_session=True)
        assert refused.value.status == 503
        assert harness.sender.sent == []
        calls.place(order, BROKER, Preferences(), print, ends_with_session=False)
        assert len(harness.sender.sent) == 1

    run_scenario(scenario)
