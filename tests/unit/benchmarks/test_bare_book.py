"""The bare order book as a yardstick: equal fills, and a flow with the shape it claims."""

import pytest

from benchmarks.micro.bare_book import BareBook, BareFlow, fills_of, flow_of, run_bare, with_quotas
from schemas.commands import CancelOrder
from schemas.executions import CommandRefused
from services.matcher.book import PriceLevel
from services.matcher.engine import Engine
from tests.support.patching import patched


@pytest.fixture(scope="module")
def flow() -> BareFlow:
    return flow_of(12_000)


def test_flow_has_as_many_cancels_as_orders_that_rest_and_few_trades(flow: BareFlow) -> None:
    cancels = sum(isinstance(command, CancelOrder) for command, _ in flow.placed)
    fills = sum(map(len, run_bare(BareBook(), flow.bare)))
    assert len(flow.placed) == len(flow.bare) == 12_000
    assert 0.3 < cancels / 12_000 < 0.5
    assert 0.02 < fills / 12_000 < 0.1


def test_bare_book_has_the_fills_of_the_engine(flow: BareFlow) -> None:
    assert fills_of(Engine(0), flow) == run_bare(BareBook(), flow.bare)
    with patched([(PriceLevel, "oldest", lambda level: level.open_orders()[-1])]):
        assert fills_of(Engine(0), flow) != run_bare(BareBook(), flow.bare)


def test_engine_with_quotas_refuses_no_command_of_the_flow(flow: BareFlow) -> None:
    engine = with_quotas()
    events = [engine.apply(command, at).event for command, at in flow.placed]
    assert engine.quotas is not None
    assert not any(isinstance(event, CommandRefused) for event in events)
