"""Scenario tables of expiry, the clock, repeated client order ids and the caps of one command."""

import pytest

from services.matcher.rules import Rules
from tests.support.scenario import Scenario

EXPIRY = {
    "before_match": """
        10 | sell 5 @ 101 by ann as a1 until 20 | rests 5
        11 | sell 5 @ 102 by bob as b1 | rests 5
        20 | buy  5 @ 102 by cat as c1 | expired a1 5; 5@102 b1; filled
        book | - | -
    """,
    "one_millisecond_before_the_end_still_trades": """
        10 | sell 5 @ 101 by ann as a1 until 20 | rests 5
        19 | buy  2 @ 101 by cat as c1 | 2@101 a1; filled
        20 | buy  2 @ 101 by cat as c2 | expired a1 3; rests 2
    """,
    "by_tick": """
        10 | buy 5 @ 101 by ann as a1 until 20 | rests 5
        19 | tick | ticked
        20 | tick | expired a1 5; ticked
        book | - | -
        20 | tick | ticked
    """,
    "by_any_command": """
        10 | buy 1 @ 101 by ann as a1 until 20 | rests 1
        10 | buy 2 @ 101 by ann as a2 until 30 | rests 2
        20 | garbage | expired a1 1; refused malformed_command
        30 | cancel a2 by ann | expired a2 2; refused order_not_open
    """,
    "in_order_of_end_then_of_entry": """
        1 | buy  1 @ 99 by ann as z1 until 20 | rests 1
        2 | buy  2 @ 98 by ann as a2 until 19 | rests 2
        3 | sell 3 @ 105 by ann as a3 until 20 in VALE3 | rests 3
        4 | buy  4 @ 99 by ann as a4 until 20 | rests 4
        5 | buy  5 @ 99 by ann as a5 until 21 | rests 5
        20 | tick | expired a2 2; expired z1 1; expired a3 3; expired a4 4; ticked
        book | 5@99x1 | -
        book VALE3 | - | -
    """,
    "of_what_a_partial_fill_left": """
        1 | buy  5 @ 99 by ann as a1 until 20 | rests 5
        2 | sell 3 @ 99 by bob as b1 | 3@99 a1; filled
        20 | tick | expired a1 2; ticked
    """,
    "not_of_an_order_that_left": """
        1 | buy  5 @ 99 by ann as a1 until 20 | rests 5
        2 | buy  5 @ 98 by ann as a2 until 20 | rests 5
        3 | cancel a1 by ann | cancelled 5
        4 | sell 5 @ 98 by bob as b1 until 20 | 5@98 a2; filled
        20 | tick | ticked
    """,
    "not_of_a_later_order_with_the_same_id": """
        1 | buy  5 @ 99 by ann as a1 until 20 | rests 5
        2 | cancel a1 by ann | cancelled 5
        3 | buy  6 @ 99 by ann as a1 until 30 | rests 6
        20 | tick | ticked
        book | 6@99x1 | -
        30 | tick | expired a1 6; ticked
    """,
    "dead_on_arrival_touches_nothing": """
        10 | sell 5 @ 101 by ann as a1 | rests 5
        20 | buy  5 @ 101 by bob as b1 until 20 | expired 5
        20 | buy  5 by bob as b2 until 19 | expired 5
        20 | buy  5 @ 101 by bob as b3 until 21 | 5@101 a1; filled
        21 | cancel b1 by bob | refused order_not_open
    """,
    "clock_never_runs_back": """
        100 | buy  5 @ 99 by ann as a1 until 120 | rests 5
        50 | buy  5 @ 99 by ann as a2 until 100 | expired 5
        50 | buy  5 @ 98 by ann as a3 until 101 | rests 5
        101 | tick | expired a3 5; ticked
        120 | sell 1 @ 99 by bob as b1 until 130 | expired a1 5; rests 1
        1 | buy 1 @ 99 by cat as c1 | 1@99 b1; filled
    """,
}

REFUSALS = {
    "malformed_command_changes_nothing": """
        1 | sell 1 @ 101 by ann as a1 | rests 1
        2 | garbage | refused malformed_command
        book | - | 1@101x1
    """,
    "order_id_already_open": """
        1 | sell 1 @ 101 by ann as a1 | rests 1
        2 | buy  1 @ 101 by bob as a1 | refused duplicate_order_id
        3 | buy  1 @ 101 by bob as a1 in VALE3 | refused duplicate_order_id
        book | - | 1@101x1
        book VALE3 | - | -
    """,
    "order_id_that_just_expired_may_return": """
        1 | sell 1 @ 101 by ann as a1 until 5 | rests 1
        5 | sell 2 @ 101 by ann as a1 | expired a1 1; rests 2
    """,
    "same_client_id_and_content": """
        1 | sell 5 @ 101 by ann as a1 client x until 50 | rests 5
        2 | sell 5 @ 101 by ann as a2 client x until 50 | repeated a1
        3 | sell 5 @ 101 by ann as a1 client x until 50 | repeated a1
        4 | buy  5 @ 101 by bob as b1 | 5@101 a1; filled
        5 | sell 5 @ 101 by ann as a3 client x until 50 | repeated a1
        60 | sell 5 @ 101 by ann as a4 client x until 50 | repeated a1
        book | - | -
    """,
    "same_client_id_other_content": """
        1 | sell 5 @ 101 by ann as a1 client x until 50 doc 7 | rests 5
        2 | buy  5 @ 101 by ann as a2 client x until 50 doc 7 | refused client_order_id_reused a1
        3 | sell 4 @ 101 by ann as a2 client x until 50 doc 7 | refused client_order_id_reused a1
        4 | sell 5 @ 102 by ann as a2 client x until 50 doc 7 | refused client_order_id_reused a1
        5 | sell 5 by ann as a2 client x until 50 doc 7 | refused client_order_id_reused a1
        6 | sell 5 @ 101 by ann as a2 client x doc 7 | refused client_order_id_reused a1
        7 | sell 5 @ 101 by ann as a2 client x until 51 doc 7 | refused client_order_id_reused a1
        8 | sell 5 @ 101 by ann as a2 client x until 50 doc 8 | refused client_order_id_reused a1
        9 | sell 5 @ 101 by ann as a2 client x until 50 doc 7 | repeated a1
        book | - | 5@101x1
    """,
    "client_ids_of_other_brokers_and_symbols": """
        1 | sell 5 @ 101 by ann as a1 client x | rests 5
        2 | sell 6 @ 102 by bob as b1 client x | rests 6
        3 | sell 7 @ 103 by ann as a2 client x in VALE3 | rests 7
        4 | sell 8 @ 104 by ann as a3 | rests 8
        5 | sell 8 @ 104 by ann as a4 | rests 8
        book | - | 5@101x1 6@102x1 16@104x2
    """,
    "only_accepted_orders_are_remembered": """
        1 | sell 5 @ 101 by ann as a1 | rests 5
        2 | sell 6 @ 101 by ann as a1 client x | refused duplicate_order_id
        3 | sell 7 @ 101 by ann as a2 client x | rests 7
    """,
    "dead_on_arrival_is_remembered": """
        5 | sell 5 @ 101 by ann as a1 client x until 5 | expired 5
        6 | sell 5 @ 101 by ann as a2 client x until 5 | repeated a1
    """,
}

WINDOW_BY_TIME = """
    1 | sell 5 @ 101 by ann as a1 client x | rests 5
    10 | sell 5 @ 101 by ann as a2 client x | repeated a1
    11 | sell 5 @ 101 by ann as a3 client x | rests 5
    20 | sell 6 @ 101 by ann as a4 client x | refused client_order_id_reused a3
    21 | sell 6 @ 101 by ann as a5 client x | rests 6
"""

WINDOW_BY_COUNT = """
    1 | sell 1 @ 101 by ann as a1 client x | rests 1
    2 | sell 2 @ 101 by bob as b1 client y in VALE3 | rests 2
    3 | sell 1 @ 101 by ann as a2 client x | repeated a1
    4 | sell 3 @ 101 by cat as c1 client z | rests 3
    5 | sell 2 @ 101 by bob as b2 client y in VALE3 | repeated b1
    6 | sell 1 @ 101 by ann as a3 client x | rests 1
    7 | sell 9 @ 101 by bob as b3 client y in VALE3 | rests 9
"""

CAPPED_EXPIRIES = """
    1 | sell 1 @ 101 by ann as a1 until 10 | rests 1
    1 | sell 2 @ 101 by ann as a2 until 10 | rests 2
    1 | sell 3 @ 102 by ann as a3 until 10 | rests 3
    1 | sell 4 @ 103 by ann as a4 | rests 4
    1 | sell 5 @ 104 by ann as a5 until 10 | rests 5
    10 | garbage | expired a1 1; refused malformed_command
    book | - | 2@101x1 3@102x1 4@103x1 5@104x1
    10 | buy 9 @ 102 by bob as b1 | expired a2 2; expired a3 3; rests 9
    10 | buy 1 by bob as b2 | expired a5 5; 1@103 a4; filled
"""

CAPPED_EXPIRIES_MET_WHILE_MATCHING = """
    1 | sell 1 @ 101 by ann as a1 until 10 | rests 1
    1 | sell 2 @ 105 by ann as a2 until 9 | rests 2
    1 | sell 3 @ 102 by ann as a3 until 10 | rests 3
    1 | sell 4 @ 103 by ann as a4 | rests 4
    10 | buy 5 @ 103 by bob as b1 | expired a2 2; expired a1 1; expired a3 3; 4@103 a4; rests 1
    book | 1@103x1 | -
"""

CAPPED_FILLS = """
    1 | sell 1 @ 101 by ann as a1 | rests 1
    1 | sell 1 @ 101 by ann as a2 | rests 1
    1 | sell 1 @ 101 by ann as a3 | rests 1
    1 | sell 1 @ 103 by ann as a4 | rests 1
    2 | buy 9 @ 101 by bob as b1 | 1@101 a1; 1@101 a2; cancelled 7
    book | - | 1@101x1 1@103x1
    3 | buy 2 @ 103 by bob as b2 | 1@101 a3; 1@103 a4; filled
    4 | sell 1 @ 99 by ann as a5 | rests 1
    4 | sell 1 @ 99 by ann as a6 | rests 1
    5 | buy 5 @ 100 by bob as b3 | 1@99 a5; 1@99 a6; rests 3
    book | 3@100x1 | -
    6 | buy 4 @ 100 by bob as b4 | rests 4
    6 | buy 5 @ 100 by bob as b5 | rests 5
    7 | sell 20 by cat as c1 | 3@100 b3; 4@100 b4; cancelled 13
    8 | buy 1 @ 99 by bob as b6 | rests 1
    9 | sell 20 by cat as c2 | 5@100 b5; 1@99 b6; no_liquidity 14
"""

CAPPED_STEPS_COUNT_EXPIRIES_MET = """
    1 | sell 1 @ 101 by ann as a1 until 10 | rests 1
    1 | sell 2 @ 101 by ann as a2 until 10 | rests 2
    1 | sell 3 @ 101 by ann as a3 until 10 | rests 3
    1 | sell 4 @ 101 by ann as a4 until 10 | rests 4
    1 | sell 5 @ 101 by ann as a5 | rests 5
    10 | buy 9 @ 101 by bob as b1 | expired a1 1; expired a2 2; expired a3 3; cancelled 9
    10 | buy 9 @ 101 by bob as b2 | expired a4 4; 5@101 a5; rests 4
"""

CAPPED = {
    "window_by_time": Scenario(WINDOW_BY_TIME, Rules(client_id_window_ms=10, client_id_block=1)),
    "window_by_count": Scenario(WINDOW_BY_COUNT, Rules(client_ids_max=2, client_id_block=1)),
    "expiries": Scenario(CAPPED_EXPIRIES, Rules(expiries_max=1)),
    "expiries_met": Scenario(CAPPED_EXPIRIES_MET_WHILE_MATCHING, Rules(expiries_max=1)),
    "fills": Scenario(CAPPED_FILLS, Rules(fills_max=2)),
    "steps": Scenario(CAPPED_STEPS_COUNT_EXPIRIES_MET, Rules(fills_max=2, expiries_max=1)),
}


@pytest.mark.parametrize("table", EXPIRY.values(), ids=EXPIRY.keys())
def test_expiry_scenario_gives_the_outcomes_of_its_table(table: str) -> None:
    Scenario(table).check()


@pytest.mark.parametrize("table", REFUSALS.values(), ids=REFUSALS.keys())
def test_refusal_scenario_gives_the_outcomes_of_its_table(table: str) -> None:
    Scenario(table).check()


@pytest.mark.parametrize("scenario", CAPPED.values(), ids=CAPPED.keys())
def test_cap_scenario_bounds_one_command(scenario: Scenario) -> None:
    scenario.check()
