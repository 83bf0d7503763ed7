"""Phases and day orders: what no scenario over HTTP shows."""

import pytest

from conformance.phases import SCENARIOS
from conformance.scenarios import Scenario as OrderScenario
from schemas.commands import SetPhase
from schemas.executions import PhaseSet
from services.matcher.engine import Engine, EnginePosition
from services.matcher.market_data import book_updates
from services.matcher.rules import Rules
from tests.support.naive_market import NaiveMarket
from tests.support.order_scenarios import MemoryExchange
from tests.support.scenario import EngineMarket, Scenario, command_of, limits_of

TABLES = {
    "same_phase_again_changes_nothing_whatever_is_expected": Scenario(
        """
        1 | instrument 100                   | instrument
        2 | phase continuous                 | continuous after continuous
        3 | phase halted after closed        | refused phase_differs
        4 | phase halted after continuous    | halted after continuous
        5 | phase halted after continuous    | halted after halted
        6 | phase halted in OTHER            | refused needs_instrument
        7 | phase continuous                 | continuous after halted
        """
    ),
    "orders_and_replacements_are_refused_and_cancels_are_not": Scenario(
        """
        1 | instrument 100                   | instrument
        1 | sell 5 @ 101 by ann as a1        | rests 5
        1 | buy 1 by bob as b1 stop 102      | waits 1
        2 | phase halted                     | halted after continuous
        3 | buy 5 @ 101 by bob as b2         | refused market_halted
        3 | buy 5 by bob as b3               | refused market_halted
        3 | buy 5 @ 90 by bob as b4 is ioc   | refused market_halted
        3 | amend a1 by ann to 4 of 5        | refused market_halted
        3 | amend a1 by bob to 4 of 5        | refused not_owner
        3 | amend b1 by bob to 4 of 5        | refused not_amendable
        4 | cancel b1 by bob                 | cancelled 1
        5 | phase closed                     | closed after halted
        6 | buy 5 @ 101 by bob as b5         | refused market_closed
        7 | cancel a1 by ann                 | cancelled 5
        """
    ),
    "refused_order_leaves_its_client_id_free": Scenario(
        """
        1 | instrument 100                       | instrument
        2 | phase halted                         | halted after continuous
        3 | buy 5 @ 90 by bob as b1 client c     | refused market_halted
        4 | phase continuous                     | continuous after halted
        5 | buy 5 @ 90 by bob as b2 client c     | rests 5
        6 | phase halted                         | halted after continuous
        7 | buy 5 @ 90 by bob as b3 client c     | repeated b2
        """
    ),
    "orders_expire_in_a_halt": Scenario(
        """
        1 | instrument 100                     | instrument
        1 | sell 5 @ 101 by ann as a1 until 9  | rests 5
        2 | phase halted                       | halted after continuous
        9 | tick                               | expired a1 5; ticked
        """
    ),
    "close_ends_day_orders_and_stops_of_its_symbol_alone": Scenario(
        """
        1 | instrument 100                              | instrument
        1 | instrument 100 in OTHER                     | instrument
        1 | sell 5 @ 101 by ann as a1 for day           | rests 5
        1 | buy 1 by bob as b1 stop 102 for day         | waits 1
        1 | sell 5 @ 101 in OTHER by ann as a2 for day  | rests 5
        1 | sell 5 @ 103 by ann as a3                   | rests 5
        2 | phase halted                                | halted after continuous
        3 | tick                                        | ticked
        4 | phase closed                                | closed after halted
        5 | tick                                        | expired a1 5; expired b1 1; ticked
        book | - | 5@103x1
        book OTHER | - | 5@101x1
        6 | phase continuous                            | continuous after closed
        7 | buy 5 @ 101 by bob as b2 for day            | rests 5
        8 | tick                                        | ticked
        """
    ),
    "ended_day_orders_beyond_the_bound_expire_later_and_never_trade": Scenario(
        """
        1 | instrument 100                        | instrument
        1 | sell 1 @ 101 by ann as a1 for day     | rests 1
        1 | sell 1 @ 101 by ann as a2 for day     | rests 1
        1 | sell 1 @ 101 by ann as a3 for day     | rests 1
        1 | sell 1 @ 101 by ann as a4 for day     | rests 1
        1 | sell 9 @ 102 by ann as a5             | rests 9
        2 | phase closed                          | closed after continuous
        3 | phase continuous                      | expired a1 1; continuous after closed
        3 | amend a4 by ann to 2 of 1             | expired a2 1; expired 1
        4 | buy 1 by bob as b1                    | expired a3 1; 1@102 a5; filled
        """,
        Rules(expiries_max=1),
    ),
    "replaced_day_order_is_one_still_and_has_no_other_end": Scenario(
        """
        1 | instrument 100                        | instrument
        1 | sell 5 @ 101 by ann as a1 for day     | rests 5
        2 | amend a1 by ann @ 102                 | moved 5
        2 | amend a1 by ann to 4 of 5             | kept 4
        2 | amend a1 by ann until 99              | refused not_amendable
        3 | phase closed                          | closed after continuous
        4 | tick                                  | expired a1 4; ticked
        """
    ),
    "day_stop_limit_that_rests_is_ended_too": Scenario(
        """
        1 | instrument 100                              | instrument
        1 | sell 1 @ 101 by ann as a1                   | rests 1
        1 | buy 3 @ 101 by bob as b1 stop 101 for day   | waits 3
        2 | buy 1 @ 101 by dan as d1  | 1@101 a1; filled; elected b1 at 101: rests 3
        3 | phase closed                                | closed after continuous
        4 | tick                                        | expired b1 3; ticked
        """
    ),
    "day_order_needs_an_instrument": Scenario(
        """
        1 | buy 3 @ 101 by bob as b1 for day   | refused needs_instrument
        """
    ),
    "return_elects_by_the_reference_price_once": Scenario(
        """
        1 | instrument 100                      | instrument
        1 | sell 9 @ 120 by ann as a1           | rests 9
        1 | buy 1 by bob as b1 stop 110         | waits 1
        1 | buy 1 by bob as b2 stop 105         | waits 1
        1 | sell 1 by bob as b3 stop 95         | waits 1
        2 | instrument 107                      | instrument
        3 | tick                                | ticked
        4 | phase closed                        | closed after continuous
        5 | phase halted                        | halted after closed
        6 | cancel b1 by bob                    | cancelled 1
        6 | phase continuous  | continuous after halted; elected b2 at 107: 1@120 a1, filled
        7 | phase continuous                    | continuous after continuous
        book | - | 8@120x1
        """
    ),
    "elected_stops_wait_through_a_halt_without_a_tick": Scenario(
        """
        1 | instrument 100                      | instrument
        1 | sell 9 @ 101 by ann as a1           | rests 9
        1 | buy 1 by bob as b1 stop 101         | waits 1
        1 | buy 1 by bob as b2 stop 101         | waits 1
        1 | buy 1 by bob as b3 stop 101         | waits 1
        1 | buy 1 by bob as b4 stop 101         | waits 1
        2 | buy 1 @ 101 by dan as d1  | 1@101 a1; filled; elected b1 at 101: 1@101 a1, filled
        3 | phase halted              | elected b2 at 101: 1@101 a1, filled; halted after continuous
        4 | tick                      | ticked
        5 | amend b3 by bob to 2 of 1 | refused not_amendable
        6 | cancel b3 by bob          | cancelled 1
        7 | phase continuous          | continuous after halted; elected b4 at 101: 1@101 a1, filled
        """,
        Rules(elections_max=1),
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario_on_engine_and_model_has_the_expected_result(scenario: OrderScenario) -> None:
    scenario.check(MemoryExchange(NaiveMarket(0, limits_of(Rules()))))
    scenario.check(MemoryExchange(EngineMarket(Rules())))


@pytest.mark.parametrize("name", TABLES)
def test_table_on_engine_and_model(name: str) -> None:
    TABLES[name].check()


def played(rules: Rules, *lines: str) -> Engine:
    engine = Engine(0, rules)
    for offset, line in enumerate(lines):
        engine.apply(command_of(line), EnginePosition(0, offset, 10 + offset))
    return engine


def test_ended_day_orders_need_ticks_and_held_stops_do_not() -> None:
    book = ["instrument 100", "sell 9 @ 101 by ann as a1 for day"]
    engine = played(Rules(), *book, "phase closed")
    assert engine.next_due() == engine.clock
    stops = [f"buy 1 by bob as b{number} stop 101" for number in range(3)]
    orders = ["instrument 100", "sell 9 @ 101 by ann as a1", *stops, "buy 1 @ 101 by dan as d1"]
    engine = played(Rules(elections_max=1), *orders)
    assert engine.next_due() == engine.clock
    engine = played(Rules(elections_max=1), *orders, "phase halted")
    assert engine.next_due() is None


def test_phase_is_public_when_it_changes_and_in_whole_books() -> None:
    engine = Engine(0, Rules(whole_book_every=3))
    lines = [
        "instrument 100",
        "sell 9 @ 101 by ann as a1",
        "phase halted",
        "cancel a1 by ann",
        "phase halted",
        "phase continuous",
    ]
    found = []
    for offset, line in enumerate(lines):
        at = EnginePosition(0, offset, 10)
        outcome = engine.apply(command_of(line), at)
        for update in book_updates(outcome, at, engine):
            found.append((update.sequence, update.phase, update.whole, len(update.asks)))
    assert found == [
        (1, None, True, 1),
        (2, "halted", False, 0),
        (3, "halted", True, 0),
        (4, "continuous", False, 0),
    ]


def test_request_and_phases_are_in_the_outcome() -> None:
    engine = played(Rules(), "instrument 100")
    command = SetPhase("PETR4", "9f0c11d2a4b86e76", "closed")
    event = engine.apply(command, EnginePosition(0, 5, 10)).event
    assert event == PhaseSet("PETR4", "9f0c11d2a4b86e76", "continuous", "closed", 1)
