"""Stop orders: the scenarios on the engine and on its reference model, bounds and carrying over."""

import pytest

from conformance.scenarios import Scenario as OrderScenario
from conformance.stop_orders import SCENARIOS
from schemas.commands import Tick
from services.matcher.engine import Engine, EnginePosition
from services.matcher.rules import Rules
from tests.support.naive_market import NaiveMarket
from tests.support.order_scenarios import MemoryExchange
from tests.support.scenario import EngineMarket, Scenario, command_of, limits_of


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario_on_engine_and_model_has_the_expected_result(scenario: OrderScenario) -> None:
    scenario.check(MemoryExchange(NaiveMarket(0, limits_of(Rules()))))
    scenario.check(MemoryExchange(EngineMarket(Rules())))


BOUNDS = {
    "elections_beyond_the_bound_come_before_the_next_command": Scenario(
        """
        1 | instrument 100                        | instrument
        1 | sell 9 @ 101 by ann as a1             | rests 9
        2 | buy 1 by bob as b1 stop 101           | waits 1
        2 | buy 1 by bob as b2 stop 101           | waits 1
        2 | buy 1 by bob as b3 stop 101           | waits 1
        3 | buy 1 @ 101 by dan as d1 | 1@101 a1; filled; elected b1 at 101: 1@101 a1, filled
        4 | cancel b3 by bob                      | elected b2 at 101: 1@101 a1, filled; cancelled 1
        5 | tick                                  | ticked
        book | - | 6@101x1
        """,
        Rules(elections_max=1),
    ),
    "steps_are_shared_by_all_orders_of_a_command": Scenario(
        """
        1 | instrument 100              | instrument
        1 | sell 1 @ 101 by ann as a1   | rests 1
        1 | sell 1 @ 102 by ann as a2   | rests 1
        1 | sell 1 @ 103 by ann as a3   | rests 1
        1 | sell 1 @ 104 by ann as a4   | rests 1
        2 | buy 3 by bob as b1 stop 101 | waits 3
        3 | buy 1 @ 101 by dan as d1    | 1@101 a1; filled; elected b1 at 101: 1@102 a2, cancelled 2
        4 | buy 1 by bob as b2 stop 103 | waits 1
        5 | buy 2 @ 104 by dan as d2    | 1@103 a3; 1@104 a4; filled
        5 | sell 1 @ 105 by ann as a5   | elected b2 at 104: no_liquidity 1; rests 1
        """,
        Rules(fills_max=2),
    ),
    "due_stop_left_over_from_a_backlog_expires_when_it_is_elected": Scenario(
        """
        1  | instrument 100                       | instrument
        1  | sell 5 @ 101 by ann as a1            | rests 5
        2  | sell 1 @ 140 by ann as a2 until 10   | rests 1
        2  | buy 3 by bob as b1 stop 101 until 10 | waits 3
        10 | buy 1 @ 101 by dan as d1 | expired a2 1; 1@101 a1; filled; elected b1 at 101: expired 3
        """,
        Rules(expiries_max=1),
    ),
    "stops_expire_and_leave_the_book_alone": Scenario(
        """
        1  | instrument 100                             | instrument
        2  | buy 3 @ 110 by bob as b1 stop 105 until 10 | waits 3
        2  | buy 3 by bob as b2 stop 105                | waits 3
        book | - | -
        10 | tick                                       | expired b1 3; ticked
        11 | cancel b2 by ann                           | refused not_owner
        11 | cancel b2 by bob                           | cancelled 3
        11 | cancel b2 by bob                           | refused order_not_open
        """
    ),
    "a_price_set_by_hand_elects_nothing": Scenario(
        """
        1 | instrument 100              | instrument
        2 | buy 3 by bob as b1 stop 105 | waits 3
        3 | instrument 110              | instrument
        4 | buy 3 by bob as b2 stop 110 | refused stop_would_trigger
        5 | sell 1 @ 104 by ann as a1   | rests 1
        5 | buy 1 @ 104 by dan as d1    | 1@104 a1; filled
        """
    ),
    "trades_of_other_symbols_elect_nothing": Scenario(
        """
        1 | instrument 100                     | instrument
        1 | instrument 100 in VALE3            | instrument
        2 | buy 3 by bob as b1 stop 105        | waits 3
        3 | sell 1 @ 110 by ann as a1 in VALE3 | rests 1
        3 | buy 1 @ 110 by dan as d1 in VALE3  | 1@110 a1; filled
        """
    ),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_on_engine_and_model_carry_the_rest_over(name: str) -> None:
    BOUNDS[name].check()


def test_engine_with_elected_stops_left_is_due_now_and_goes_on_after_a_restore() -> None:
    rules = Rules(elections_max=1)
    engine = Engine(0, rules)
    table = BOUNDS["elections_beyond_the_bound_come_before_the_next_command"].table
    rows = [line.split("|") for line in table.strip().splitlines() if "book" not in line]
    for offset, (time, text, _) in enumerate(rows[:6]):
        assert engine.next_due() is None
        engine.apply(command_of(text), EnginePosition(0, offset, int(time)))
    assert engine.next_due() == engine.clock
    restored = Engine.restore(engine.snapshot(), rules)
    assert restored.digest() == engine.digest()
    at = EnginePosition(0, 6, 9)
    outcome = engine.apply(Tick(), at)
    assert restored.apply(Tick(), at) == outcome
    assert [step.order_id for step in outcome.before] == ["b2"]
    assert (restored.digest(), restored.next_due()) == (engine.digest(), engine.next_due())
