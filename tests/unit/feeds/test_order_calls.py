"""Orders of sessions by ingest's own handlers."""

import pytest

from services.api.messages import ProblemError
from services.feeds.order_calls import GatewayOrders
from tests.support.ingest_context import BROKER, FakeSender, IngestHarness, run_scenario


def test_stopped_gateway_refuses_every_order_and_change() -> None:
    async def scenario() -> None:
        calls = GatewayOrders(IngestHarness(FakeSender()).ingest, lambda: None)
        calls.spend(BROKER.broker_id, "orders")
        calls.stop()
        for budget in ("orders", "cancels"):
            with pytest.raises(ProblemError, match="stopping") as refused:
                calls.spend(BROKER.broker_id, budget)
            assert refused.value.status == 503

    run_scenario(scenario)
