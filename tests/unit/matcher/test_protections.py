"""Self-trade prevention and price bands: the scenarios on the engine and on its reference model,
bounds, snapshots, and the public record."""

import pytest

from conformance.protections import SCENARIOS
from conformance.scenarios import Scenario as OrderScenario
from schemas.commands import SetInstrument
from schemas.executions import OrderEntered
from schemas.instruments import InstrumentRules
from schemas.snapshots import SNAPSHOT_VERSION_CHANGES, SNAPSHOT_VERSION_CONTROLS
from services.matcher.engine import Engine, EnginePosition
from services.matcher.market_data import book_updates
from services.matcher.rules import Rules
from services.matcher.snapshot import SnapshotChecksum, SnapshotPosition, save
from tests.support.naive_market import NaiveMarket
from tests.support.order_scenarios import MemoryExchange
from tests.support.scenario import SYMBOL, EngineMarket, Scenario, command_of, limits_of


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario_on_engine_and_model_has_the_expected_result(scenario: OrderScenario) -> None:
    scenario.check(MemoryExchange(NaiveMarket(0, limits_of(Rules()))))
    scenario.check(MemoryExchange(EngineMarket(Rules())))


BOUNDS = {
    "prevented_makers_count_as_steps": Scenario(
        """
        1 | instrument 100                               | instrument
        1 | sell 1 @ 101 by bob as b1                    | rests 1
        1 | sell 1 @ 101 by bob as b2                    | rests 1
        1 | sell 1 @ 101 by ann as a1                    | rests 1
        2 | buy 1 @ 101 by bob as b3 is fok own cancel_maker | no_liquidity 1
        2 | buy 1 @ 101 by bob as b4 own cancel_maker | cancelled 1; prevented b1 1; prevented b2 1
        book | - | 1@101x1
        """,
        Rules(fills_max=2),
    ),
    "steps_are_shared_with_the_stops_that_a_command_elects": Scenario(
        """
        1 | instrument 100                               | instrument
        1 | sell 1 @ 101 by ann as a1                    | rests 1
        1 | sell 1 @ 102 by bob as b1                    | rests 1
        1 | sell 1 @ 103 by ann as a2                    | rests 1
        2 | buy 2 by bob as b2 stop 101 own cancel_maker | waits 2
        3 | buy 1 @ 101 by dan as d1 | 1@101 a1; filled; elected b2 at 101: cancelled 2; \
prevented b1 1
        """.replace("\\\n", ""),
        Rules(fills_max=2),
    ),
    "a_maker_that_is_due_expires_before_it_is_looked_at": Scenario(
        """
        1  | instrument 100 band 20000                | instrument
        1  | sell 1 @ 104 by ann as a1 until 10       | rests 1
        1  | sell 5 @ 104 by bob as b1 until 10       | rests 5
        1  | sell 1 @ 104 by ann as a2 until 10       | rests 1
        10 | buy 2 @ 105 by bob as b2 own cancel_taker | expired a1 1; expired b1 5; expired a2 1; \
rests 2
        """.replace("\\\n", ""),
        Rules(expiries_max=1),
    ),
    "band_of_a_broken_number_of_cents_ends_below_it": Scenario(
        """
        1 | instrument 100 band 29500 | instrument
        1 | sell 1 @ 102 by ann as a1 | rests 1
        1 | sell 1 @ 103 by ann as a2 | rests 1
        2 | buy 2 @ 110 by bob as b1  | 1@102 a1; price_band 1
        3 | buy 1 @ 110 by bob as b2  | 1@103 a2; filled
        """
    ),
    "carried_stops_keep_to_the_band_before_the_command_in_which_they_take": Scenario(
        """
        1 | instrument 100 band 30000   | instrument
        1 | sell 3 @ 101 by ann as a1   | rests 3
        1 | sell 1 @ 104 by ann as a2   | rests 1
        1 | sell 1 @ 107 by ann as a3   | rests 1
        2 | buy 1 by bob as b1 stop 101 | waits 1
        2 | buy 1 by bob as b2 stop 101 | waits 1
        2 | buy 1 by bob as b3 stop 101 | waits 1
        2 | buy 2 by bob as b4 stop 101 | waits 2
        3 | buy 1 @ 101 by dan as d1 | 1@101 a1; filled; elected b1 at 101: 1@101 a1, filled; \
elected b2 at 101: 1@101 a1, filled
        4 | tick                     | elected b3 at 101: 1@104 a2, filled; \
elected b4 at 101: price_band 2; ticked
        """.replace("\\\n", ""),
        Rules(elections_max=2),
    ),
    "amended_order_without_a_document_takes_from_all": Scenario(
        """
        1 | sell 5 @ 103 by bob as b1    | rests 5
        2 | buy 5 @ 99 by bob as b2      | rests 5
        3 | instrument 100               | instrument
        4 | amend b2 by bob @ 103        | 5@103 b1; filled
        """
    ),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_on_engine_and_model_are_the_same(name: str) -> None:
    BOUNDS[name].check()


def engine_after(*texts: str) -> Engine:
    engine = Engine(0)
    for offset, text in enumerate(texts):
        engine.apply(command_of(text), EnginePosition(0, offset, 1))
    return engine


def version_of(engine: Engine) -> int:
    saved = save(engine, SnapshotPosition("the log", 0, 9, 9))
    return SnapshotChecksum().commit(saved, 0).version


def test_restored_engine_keeps_preventions_documents_and_bands() -> None:
    engine = engine_after(
        "instrument 100 band 20000",
        "sell 5 @ 101 by bob as b1 doc 7",
        "buy 5 @ 99 by bob as b2 doc 7 own cancel_both",
    )
    restored = Engine.restore(engine.snapshot())
    assert restored.digest() == engine.digest() == engine.snapshot().digest()
    for offset, text in enumerate(["amend b2 by bob @ 101", "buy 1 @ 104 by dan as d1"], 3):
        at = EnginePosition(0, offset, 1)
        assert restored.apply(command_of(text), at) == engine.apply(command_of(text), at)
        assert restored.digest() == engine.digest()
    assert engine.open_orders.keys() == {"d1"}


@pytest.mark.parametrize(
    ("texts", "version"),
    [
        (("instrument 100", "buy 5 @ 99 by bob as b2"), SNAPSHOT_VERSION_CHANGES),
        (("instrument 100 band 1", "buy 5 @ 99 by bob as b2"), SNAPSHOT_VERSION_CONTROLS),
        (
            ("instrument 100", "buy 5 @ 99 by bob as b2 own cancel_both"),
            SNAPSHOT_VERSION_CONTROLS,
        ),
        (
            ("instrument 100", "buy 5 by bob as b2 stop 105 own cancel_both"),
            SNAPSHOT_VERSION_CONTROLS,
        ),
    ],
)
def test_older_matcher_passes_over_a_snapshot_that_it_would_misread(
    texts: tuple[str, ...], version: int
) -> None:
    assert version_of(engine_after(*texts)) == version


def test_closed_makers_leave_the_public_book_with_the_command_that_closed_them() -> None:
    engine = engine_after(
        "instrument 100", "sell 5 @ 101 by bob as b1", "sell 5 @ 101 by ann as a1"
    )
    at = EnginePosition(0, 3, 1)
    outcome = engine.apply(command_of("buy 9 @ 101 by bob as b2 own cancel_maker"), at)
    assert isinstance(outcome.event, OrderEntered)
    assert [
        (one.maker_order_id, one.quantity, one.after_fills) for one in outcome.event.prevented
    ] == [("b1", 5, 0)]
    (update,) = book_updates(outcome, at, engine)
    assert [(level.price, level.total_quantity) for level in update.asks] == [(101, 0)]
    assert [(level.price, level.total_quantity) for level in update.bids] == [(101, 4)]


def test_new_band_counts_from_the_next_command_on() -> None:
    engine = engine_after(
        "instrument 100", "sell 1 @ 150 by ann as a1", "sell 1 @ 150 by ann as a2"
    )
    engine.apply(command_of("buy 1 @ 150 by bob as b1"), EnginePosition(0, 3, 1))
    rules = InstrumentRules(band_ppm=1)
    engine.apply(SetInstrument(SYMBOL, "0" * 16, rules, 149), EnginePosition(0, 4, 1))
    outcome = engine.apply(command_of("buy 1 @ 150 by bob as b2 is ioc"), EnginePosition(0, 5, 1))
    assert isinstance(outcome.event, OrderEntered)
    assert outcome.event.closed_reason == "price_band"
