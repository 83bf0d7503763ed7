"""Orders of sessions by ingest's own handlers."""

import pytest

from schemas import ids
from schemas.codec import decode_command
from schemas.commands import CancelOrder, PlaceOrder
from schemas.executions import ORIGINS_LEVEL
from services.api.messages import ProblemError, Response
from services.feeds.left_orders import GatewayProcess
from services.feeds.order_calls import GatewayOrders
from services.ingest.prefer import Preferences
from tests.support.ingest_context import (
    BROKER,
    ORDER,
    FakeSender,
    IngestHarness,
    accepted,
    run_scenario,
)

PROCESS = GatewayProcess("desk", "0a1b2c3d")


def test_stopped_gateway_refuses_every_order_and_change() -> None:
    async def scenario() -> None:
        calls = GatewayOrders(IngestHarness(FakeSender()).ingest, lambda: None, PROCESS)
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
        calls = GatewayOrders(harness.ingest, lambda: None, PROCESS)
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
        calls = GatewayOrders(harness.ingest, lambda: None, PROCESS)
        order = calls.admit(ORDER)
        with pytest.raises(ProblemError) as refused:
            calls.place(order, BROKER, Preferences(), print, ends_with_session=True)
        assert refused.value.status == 503
        assert harness.sender.sent == []
        calls.place(order, BROKER, Preferences(), print, ends_with_session=False)
        assert len(harness.sender.sent) == 1

    run_scenario(scenario)
