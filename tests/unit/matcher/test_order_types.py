"""Order conditions: the scenarios on the engine and on its reference model."""

import pytest

from conformance.order_types import SCENARIOS
from conformance.scenarios import Scenario as OrderScenario
from services.matcher.rules import Rules
from tests.support.naive_market import NaiveMarket
from tests.support.order_scenarios import MemoryExchange
from tests.support.scenario import EngineMarket, Scenario, limits_of


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario_on_engine_and_model_has_the_expected_result(scenario: OrderScenario) -> None:
    scenario.check(MemoryExchange(NaiveMarket(0, limits_of(Rules()))))
    scenario.check(MemoryExchange(EngineMarket(Rules())))


BOUNDS = {
    "due_makers_do_not_count": Scenario(
        """
        1  | sell 5 @ 101 by ann as a1 until 10 | rests 5
        1  | sell 5 @ 101 by ann as a2 until 10 | rests 5
        1  | sell 5 @ 101 by ann as a3 until 10 | rests 5
        1  | sell 5 @ 101 by ann as a4          | rests 5
        10 | buy 6 @ 101 by bob as b1 is fok    | expired a1 5; no_liquidity 6
        10 | buy 9 @ 101 by bob as b2 min 6     | expired a2 5; no_liquidity 9
        book | - | 10@101x2
        10 | buy 5 @ 101 by bob as b3 is fok    | expired a3 5; 5@101 a4; filled
        """,
        Rules(expiries_max=1),
    ),
    "post_only_rests_where_all_that_it_crosses_is_due": Scenario(
        """
        1  | sell 5 @ 101 by ann as a1 until 10 | rests 5
        1  | sell 5 @ 101 by ann as a2 until 10 | rests 5
        10 | buy 5 @ 101 by bob as b1 is post_only | expired a1 5; expired a2 5; rests 5
        book | 5@101x1 | -
        """,
        Rules(expiries_max=1),
    ),
    "more_fills_than_a_command_may_have_count_as_too_few": Scenario(
        """
        1 | sell 1 @ 101 by ann as a1 | rests 1
        1 | sell 1 @ 102 by ann as a2 | rests 1
        1 | sell 1 @ 103 by ann as a3 | rests 1
        2 | buy 3 @ 103 by bob as b1 is fok | no_liquidity 3
        2 | buy 3 by bob as b2 min 3        | no_liquidity 3
        2 | buy 3 @ 103 by bob as b3 is ioc | 1@101 a1; 1@102 a2; cancelled 1
        2 | buy 1 by bob as b4 is fok       | 1@103 a3; filled
        """,
        Rules(fills_max=2),
    ),
    "amendment_of_an_order_left_over_from_a_backlog_lets_it_expire": Scenario(
        """
        1  | sell 5 @ 101 by ann as a1 until 10 | rests 5
        1  | sell 5 @ 101 by ann as a2 until 10 | rests 5
        10 | amend a2 by ann until 20           | expired a1 5; expired 5
        """,
        Rules(expiries_max=1),
    ),
    "new_ends_replace_old_ones": Scenario(
        """
        1  | sell 5 @ 101 by ann as a1 until 30 | rests 5
        1  | sell 5 @ 101 by ann as a2          | rests 5
        2  | amend a1 by ann until 9            | kept 5
        3  | amend a1 by ann until 20           | kept 5
        4  | amend a1 by ann until 9            | kept 5
        5  | amend a1 by ann until 20           | kept 5
        6  | amend a2 by ann to 3 of 5 until 9  | kept 3
        9  | tick                               | expired a2 3; ticked
        20 | amend a1 by ann to 4 of 5          | expired a1 5; refused order_not_open
        30 | tick                               | ticked
        """
    ),
    "amended_end_that_has_passed_closes_the_order": Scenario(
        """
        4  | sell 5 @ 101 by ann as a1        | rests 5
        4  | buy 5 @ 100 by bob as b1         | rests 5
        9  | amend b1 by bob @ 101 until 9    | expired 5
        9  | buy 5 @ 100 by bob as b2 is post_only                | rests 5
        9  | amend b2 by bob @ 101 until 9 is post_only           | expired 5
        book | - | 5@101x1
        """
    ),
    "quantity_that_a_foreign_writer_says_was_another": Scenario(
        """
        1 | sell 5 @ 101 by ann as a1    | rests 5
        1 | amend a1 by ann to 3 of 1    | kept 3
        1 | amend a1 by ann to 9 of 1000 | moved 9
        1 | sell 5 @ 101 by ann as a2    | rests 5
        1 | amend a2 by ann to 4 of 9    | cancelled 5
        book | - | 9@101x1
        """
    ),
    "amended_order_that_takes_more_than_a_command_may_is_cancelled": Scenario(
        """
        1 | sell 1 @ 101 by ann as a1 | rests 1
        1 | sell 1 @ 102 by ann as a2 | rests 1
        1 | sell 1 @ 103 by ann as a3 | rests 1
        1 | buy 5 @ 100 by bob as b1  | rests 5
        2 | amend b1 by bob @ 103     | 1@101 a1; 1@102 a2; cancelled 3
        book | - | 1@103x1
        """,
        Rules(fills_max=2),
    ),
    "amendment_needs_an_open_order_of_its_broker": Scenario(
        """
        1 | sell 5 @ 101 by ann as a1 | rests 5
        1 | amend a1 by bob @ 102     | refused not_owner
        1 | cancel a1 by ann          | cancelled 5
        1 | amend a1 by ann @ 102     | refused order_not_open
        """
    ),
    "expired_at_its_arrival_before_its_minimum_is_looked_at": Scenario(
        """
        9 | buy 5 @ 101 by bob as b1 until 9 min 5 | expired 5
        9 | buy 5 @ 101 by bob as b2 until 9 is post_only | expired 5
        9 | sell 5 @ 101 by ann as a1 | rests 5
        9 | buy 5 @ 101 by bob as b3 until 9 is post_only | refused post_only_would_trade
        """
    ),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_conditions_at_the_bounds_of_a_command(name: str) -> None:
    BOUNDS[name].check()
