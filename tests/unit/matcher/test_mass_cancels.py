"""Cancels of all orders of a broker: the scenarios on the engine and on its reference model, the
bound, and the order after a restore."""

import pytest

from conformance.mass_cancels import SCENARIOS
from conformance.scenarios import Scenario as OrderScenario
from schemas.commands import CancelAll
from services.matcher.engine import Engine, EnginePosition
from services.matcher.rules import Rules
from tests.support.naive_market import NaiveMarket
from tests.support.order_scenarios import MemoryExchange
from tests.support.scenario import EngineMarket, Scenario, command_of, limits_of


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario_on_engine_and_model_has_the_expected_result(scenario: OrderScenario) -> None:
    scenario.check(MemoryExchange(NaiveMarket(0, limits_of(Rules()))))
    scenario.check(MemoryExchange(EngineMarket(Rules())))


TABLES = {
    "oldest_orders_go_first_and_the_rest_with_the_next_command": Scenario(
        """
        1 | sell 1 @ 103 by ann as a1 | rests 1
        1 | sell 2 @ 102 by ann as a2 | rests 2
        1 | sell 9 @ 101 by bob as b1 | rests 9
        1 | sell 3 @ 101 by ann as a3 | rests 3
        2 | cancel all by ann         | cancelled a1 1, a2 2 and more
        book | - | 12@101x2
        3 | cancel all by ann         | cancelled a3 3
        4 | cancel all by ann         | cancelled none
        book | - | 9@101x1
        """,
        Rules(cancels_max=2),
    ),
    "as_many_orders_as_the_bound_leave_no_more": Scenario(
        """
        1 | sell 1 @ 103 by ann as a1 | rests 1
        1 | sell 2 @ 102 by ann as a2 | rests 2
        2 | cancel all by ann         | cancelled a1 1, a2 2
        """,
        Rules(cancels_max=2),
    ),
    "only_orders_of_the_symbol_and_side": Scenario(
        """
        1 | sell 1 @ 103 by ann as a1                | rests 1
        1 | buy 2 @ 100 by ann as a2                 | rests 2
        1 | buy 3 @ 100 by ann as a3 in VALE3        | rests 3
        2 | cancel all by ann in PETR4 side buy      | cancelled a2 2
        3 | cancel all by ann in ABEV3               | cancelled none
        4 | cancel all by ann side buy               | cancelled a3 3
        book | - | 1@103x1
        """
    ),
    "stops_that_wait_are_cancelled_by_age_too": Scenario(
        """
        1 | instrument 100                | instrument
        1 | buy 3 by ann as a1 stop 105   | waits 3
        1 | buy 2 @ 100 by ann as a2      | rests 2
        1 | sell 4 by ann as a3 stop 95   | waits 4
        2 | cancel all by ann             | cancelled a1 3, a2 2, a3 4
        book | - | -
        3 | sell 1 @ 105 by bob as b1     | rests 1
        3 | buy 1 @ 105 by bob as b2      | 1@105 b1; filled
        """
    ),
    "elected_stops_that_wait_for_the_next_command_take_before_it": Scenario(
        """
        1 | instrument 100                | instrument
        1 | sell 9 @ 101 by bob as b1     | rests 9
        2 | buy 1 @ 101 by ann as a1 stop 101 | waits 1
        2 | buy 20 @ 101 by ann as a2 stop 101 | waits 20
        3 | buy 1 @ 101 by dan as d1 | 1@101 b1; filled; elected a1 at 101: 1@101 b1, filled
        4 | cancel all by ann        | elected a2 at 101: 7@101 b1, rests 13; cancelled a2 13
        """,
        Rules(elections_max=1),
    ),
    "due_orders_expire_instead": Scenario(
        """
        1 | sell 1 @ 103 by ann as a1 until 5 | rests 1
        1 | sell 2 @ 102 by ann as a2         | rests 2
        5 | cancel all by ann in PETR4        | expired a1 1; cancelled a2 2
        """
    ),
    "orders_of_a_halted_symbol": Scenario(
        """
        1 | instrument 50             | instrument
        1 | sell 5 @ 52 by ann as a1  | rests 5
        2 | phase halted              | halted after continuous
        3 | cancel all by ann         | cancelled a1 5
        """
    ),
    "an_amended_order_keeps_its_age": Scenario(
        """
        1 | sell 1 @ 103 by ann as a1        | rests 1
        1 | sell 2 @ 102 by ann as a2        | rests 2
        2 | amend a1 by ann to 5 of 1 @ 104  | moved 5
        3 | cancel all by ann                | cancelled a1 5, a2 2
        """
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_table_on_engine_and_model(table: str) -> None:
    TABLES[table].check()


def test_restored_engine_cancels_in_the_same_order() -> None:
    engine = Engine(0)
    prices = (105, 101, 103, 102, 104)
    for offset, price in enumerate(prices):
        command = command_of(f"sell 1 @ {price} by ann as a{offset}")
        engine.apply(command, EnginePosition(0, offset, 1))
    at = EnginePosition(0, len(prices), 2)
    restored = Engine.restore(engine.snapshot())
    outcomes = [each.apply(CancelAll("ann", "0" * 16), at) for each in (engine, restored)]
    assert outcomes[0] == outcomes[1]
    assert engine.digest() == restored.digest()
