"""Scenario tables of price-time priority, fills and the remaining book."""

import pytest

from tests.support.scenario import Scenario

MATCHING = {
    "best_price_first": """
        1 | sell 5 @ 102 by ann as a1 | rests 5
        2 | sell 5 @ 101 by bob as b1 | rests 5
        3 | sell 5 @ 103 by cat as c1 | rests 5
        4 | buy  5 @ 103 by dan as d1 | 5@101 b1; filled
        book | - | 5@102x1 5@103x1
        5 | buy 1 @ 97 by ann as a2 | rests 1
        6 | buy 1 @ 99 by bob as b2 | rests 1
        7 | buy 1 @ 98 by cat as c2 | rests 1
        8 | sell 1 @ 97 by dan as d2 | 1@99 b2; filled
        book | 1@98x1 1@97x1 | 5@102x1 5@103x1
    """,
    "oldest_first_at_a_price": """
        1 | sell 5 @ 101 by ann as a1 | rests 5
        2 | sell 5 @ 101 by bob as b1 | rests 5
        2 | sell 5 @ 101 by cat as c1 | rests 5
        3 | buy  5 @ 101 by dan as d1 | 5@101 a1; filled
        4 | buy  7 @ 101 by dan as d2 | 5@101 b1; 2@101 c1; filled
        book | - | 3@101x1
    """,
    "oldest_by_log_not_by_id": """
        1 | sell 1 @ 101 by ann as z9 | rests 1
        1 | sell 1 @ 101 by ann as a1 | rests 1
        2 | buy  1 @ 101 by dan as d1 | 1@101 z9; filled
    """,
    "aggressor_partly_filled_rests": """
        1 | sell 3 @ 101 by ann as a1 | rests 3
        2 | buy  8 @ 101 by bob as b1 | 3@101 a1; rests 5
        book | 5@101x1 | -
        3 | sell 9 @ 101 by ann as a2 | 5@101 b1; rests 4
        book | - | 4@101x1
    """,
    "maker_partly_filled_keeps_its_place": """
        1 | sell 5 @ 101 by ann as a1 | rests 5
        2 | sell 5 @ 101 by bob as b1 | rests 5
        3 | buy  2 @ 101 by cat as c1 | 2@101 a1; filled
        book | - | 8@101x2
        4 | buy  4 @ 101 by cat as c2 | 3@101 a1; 1@101 b1; filled
        book | - | 4@101x1
    """,
    "trade_prints_at_the_resting_price": """
        1 | buy  5 @ 110 by ann as a1 | rests 5
        2 | sell 2 @ 90 by bob as b1 | 2@110 a1; filled
        3 | sell 2 by bob as b2 | 2@110 a1; filled
        book | 1@110x1 | -
    """,
    "sweep_over_levels_stops_at_the_limit": """
        1 | sell 1 @ 101 by ann as a1 | rests 1
        2 | sell 2 @ 102 by bob as b1 | rests 2
        3 | sell 3 @ 103 by cat as c1 | rests 3
        4 | sell 4 @ 104 by cat as c2 | rests 4
        5 | buy 9 @ 103 by dan as d1 | 1@101 a1; 2@102 b1; 3@103 c1; rests 3
        book | 3@103x1 | 4@104x1
        6 | sell 9 @ 103 by ann as a2 | 3@103 d1; rests 6
        book | - | 6@103x1 4@104x1
    """,
    "sweep_down_the_bids": """
        1 | buy  1 @ 99 by ann as a1 | rests 1
        2 | buy  2 @ 98 by bob as b1 | rests 2
        3 | buy  3 @ 97 by cat as c1 | rests 3
        4 | sell 4 @ 97 by dan as d1 | 1@99 a1; 2@98 b1; 1@97 c1; filled
        book | 2@97x1 | -
    """,
    "prices_that_do_not_cross_rest": """
        1 | sell 1 @ 101 by ann as a1 | rests 1
        2 | buy  1 @ 100 by bob as b1 | rests 1
        3 | buy  1 @ 99 by bob as b2 | rests 1
        4 | sell 1 @ 102 by bob as b3 | rests 1
        book | 1@100x1 1@99x1 | 1@101x1 1@102x1
    """,
    "market_takes_what_it_needs": """
        1 | sell 3 @ 101 by ann as a1 | rests 3
        2 | sell 3 @ 500 by bob as b1 | rests 3
        3 | buy  4 by cat as c1 | 3@101 a1; 1@500 b1; filled
        book | - | 2@500x1
    """,
    "market_beyond_liquidity_loses_the_rest": """
        1 | sell 3 @ 101 by ann as a1 | rests 3
        2 | buy  5 by cat as c1 | 3@101 a1; no_liquidity 2
        book | - | -
    """,
    "market_without_liquidity_leaves_nothing": """
        1 | buy  5 by cat as c1 | no_liquidity 5
        2 | sell 5 by cat as c2 | no_liquidity 5
        3 | buy 1 @ 100 by ann as a1 | rests 1
        4 | buy 5 by cat as c3 | no_liquidity 5
        book | 1@100x1 | -
    """,
    "level_emptied_and_refilled": """
        1 | sell 2 @ 101 by ann as a1 | rests 2
        2 | buy  2 @ 101 by bob as b1 | 2@101 a1; filled
        book | - | -
        3 | sell 7 @ 101 by ann as a2 | rests 7
        book | - | 7@101x1
        4 | sell 1 @ 101 by cat as c1 | rests 1
        5 | buy  8 @ 101 by bob as b2 | 7@101 a2; 1@101 c1; filled
        book | - | -
    """,
    "broker_may_trade_with_itself": """
        1 | sell 2 @ 101 by ann as a1 | rests 2
        2 | buy  2 @ 101 by ann as a2 | 2@101 a1; filled
    """,
    "symbols_do_not_meet": """
        1 | sell 2 @ 101 by ann as a1 in VALE3 | rests 2
        2 | buy  2 @ 101 by bob as b1 | rests 2
        book VALE3 | - | 2@101x1
        book | 2@101x1 | -
    """,
}

CANCELS = {
    "head_then_sweep": """
        1 | sell 1 @ 101 by ann as a1 | rests 1
        2 | sell 2 @ 101 by bob as b1 | rests 2
        3 | sell 3 @ 101 by cat as c1 | rests 3
        4 | cancel a1 by ann | cancelled 1
        book | - | 5@101x2
        5 | buy  9 @ 101 by dan as d1 | 2@101 b1; 3@101 c1; rests 4
    """,
    "middle_then_sweep": """
        1 | sell 1 @ 101 by ann as a1 | rests 1
        2 | sell 2 @ 101 by bob as b1 | rests 2
        3 | sell 3 @ 101 by cat as c1 | rests 3
        4 | cancel b1 by bob | cancelled 2
        book | - | 4@101x2
        5 | buy  9 @ 101 by dan as d1 | 1@101 a1; 3@101 c1; rests 5
    """,
    "tail_then_sweep": """
        1 | sell 1 @ 101 by ann as a1 | rests 1
        2 | sell 2 @ 101 by bob as b1 | rests 2
        3 | sell 3 @ 101 by cat as c1 | rests 3
        4 | cancel c1 by cat | cancelled 3
        5 | sell 4 @ 101 by cat as c2 | rests 4
        book | - | 7@101x3
        6 | buy  9 @ 101 by dan as d1 | 1@101 a1; 2@101 b1; 4@101 c2; rests 2
    """,
    "only_order_of_a_level": """
        1 | buy 1 @ 101 by ann as a1 | rests 1
        2 | buy 1 @ 100 by ann as a2 | rests 1
        3 | cancel a1 by ann | cancelled 1
        book | 1@100x1 | -
        4 | sell 2 @ 100 by bob as b1 | 1@100 a2; rests 1
    """,
    "what_is_left_of_a_partly_filled_order": """
        1 | sell 5 @ 101 by ann as a1 | rests 5
        2 | buy  2 @ 101 by bob as b1 | 2@101 a1; filled
        3 | cancel a1 by ann | cancelled 3
        book | - | -
    """,
    "after_fill": """
        1 | sell 2 @ 101 by ann as a1 | rests 2
        2 | buy  2 @ 101 by bob as b1 | 2@101 a1; filled
        3 | cancel a1 by ann | refused order_not_open
        4 | cancel b1 by bob | refused order_not_open
    """,
    "twice": """
        1 | sell 2 @ 101 by ann as a1 | rests 2
        2 | cancel a1 by ann | cancelled 2
        3 | cancel a1 by ann | refused order_not_open
    """,
    "unknown_order": """
        1 | cancel a1 by ann | refused order_not_open
    """,
    "market_order_that_found_nothing": """
        1 | sell 2 by ann as a1 | no_liquidity 2
        2 | cancel a1 by ann | refused order_not_open
    """,
    "other_brokers_order": """
        1 | sell 2 @ 101 by ann as a1 | rests 2
        2 | cancel a1 by bob | refused not_owner
        book | - | 2@101x1
        3 | cancel a1 by ann | cancelled 2
    """,
}


@pytest.mark.parametrize("table", MATCHING.values(), ids=MATCHING.keys())
def test_matching_scenario_gives_the_trades_of_its_table(table: str) -> None:
    Scenario(table).check()


@pytest.mark.parametrize("table", CANCELS.values(), ids=CANCELS.keys())
def test_cancel_scenario_gives_the_book_of_its_table(table: str) -> None:
    Scenario(table).check()
