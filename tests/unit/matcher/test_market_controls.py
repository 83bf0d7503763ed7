"""Market controls: the scenarios on the engine and on its reference model."""

import pytest

from conformance.market_controls import SCENARIOS
from conformance.scenarios import Scenario
from services.matcher.rules import Rules
from tests.support.naive_market import NaiveMarket
from tests.support.order_scenarios import MemoryExchange
from tests.support.scenario import EngineMarket, limits_of


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario_on_engine_and_model_has_the_expected_result(scenario: Scenario) -> None:
    scenario.check(MemoryExchange(NaiveMarket(0, limits_of(Rules()))))
    scenario.check(MemoryExchange(EngineMarket(Rules())))
