"""The audit of self-trade prevention, bands and elections: true histories pass, and one fault in
each of the others is found."""

from collections.abc import Callable, Iterable

import pytest
from msgspec import structs

from schemas.executions import (
    Fill,
    InstrumentSet,
    OrderAccepted,
    OrderEntered,
    Outcome,
    Prevented,
)
from services.audit.report import Name
from services.matcher.engine import Engine, EnginePosition
from services.matcher.rules import Rules
from tests.support.scenario import command_of
from tests.unit.audit.test_market import Judge

# b2 passes over b1, takes a1, and ends at the edge of the band; a3 is beyond it.
HISTORY = (
    "instrument 100 band 20000",
    "sell 5 @ 101 by bob as b1 doc 7",
    "sell 5 @ 101 by ann as a1 doc 7",
    "sell 5 @ 102 by bob as b3 doc 8",
    "sell 5 @ 103 by ann as a3 doc 7",
    "buy 30 @ 110 by bob as b2 doc 7 own cancel_maker",
)


def outcomes(texts: Iterable[str], rules: Rules) -> list[Outcome]:
    engine = Engine(0, rules)
    return [
        engine.apply(command_of(text), EnginePosition(0, offset, 1))
        for offset, text in enumerate(texts)
    ]


def failing(texts: Iterable[str], recorded: Iterable[Outcome], rules: Rules) -> set[Name]:
    judge = Judge(rules)
    for offset, (text, outcome) in enumerate(zip(texts, recorded, strict=True)):
        judge.look(command_of(text), outcome, EnginePosition(0, offset, 1))
    return judge.finish().failing


def changed_last(change: Callable[[OrderEntered], OrderAccepted]) -> set[Name]:
    """The invariants that fail if the last event of the history is another."""
    recorded = outcomes(HISTORY, Rules())
    last = recorded[-1]
    assert isinstance(last.event, OrderEntered)
    recorded[-1] = structs.replace(last, event=change(last.event))
    return failing(HISTORY, recorded, Rules())


def test_history_of_prevention_and_band_passes() -> None:
    recorded = outcomes(HISTORY, Rules())
    event = recorded[-1].event
    assert isinstance(event, OrderEntered)
    assert event.prevented == (Prevented("b1", 5, 0),)
    assert [(fill.maker_order_id, fill.quantity) for fill in event.fills] == [("a1", 5), ("b3", 5)]
    assert event.closed_reason == "price_band"
    assert failing(HISTORY, recorded, Rules()) == set()


def test_audit_that_begins_behind_the_orders_knows_them() -> None:
    engine, judge = Engine(0), Judge()
    for offset, text in enumerate(HISTORY[:-1]):
        engine.apply(command_of(text), EnginePosition(0, offset, 1))
    judge.carry(engine.snapshot())
    at = EnginePosition(0, len(HISTORY) - 1, 1)
    judge.look(command_of(HISTORY[-1]), engine.apply(command_of(HISTORY[-1]), at), at)
    assert judge.finish().failing == set()


TRADED_WITH_ITS_OWN = Fill("", 0, 101, 5, "b1", "bob", 0)
FAULTS: dict[str, Callable[[OrderEntered], OrderAccepted]] = {
    "own order trades": lambda event: structs.replace(
        event,
        prevented=(),
        fills=(TRADED_WITH_ITS_OWN, *event.fills),
        remaining_quantity=event.remaining_quantity - 5,
    ),
    "own order closes with another quantity": lambda event: structs.replace(
        event, prevented=(Prevented("b1", 4, 0),)
    ),
    "order of another document closes": lambda event: structs.replace(
        event, prevented=(*event.prevented, Prevented("b3", 5, 1)), fills=event.fills[:1]
    ),
    "order of another broker closes": lambda event: structs.replace(
        event, prevented=(*event.prevented, Prevented("a1", 5, 0)), fills=event.fills[1:]
    ),
    "trade beyond the band": lambda event: structs.replace(
        event,
        fills=(*event.fills, Fill("", 0, 103, 5, "a3", "ann", 0)),
        remaining_quantity=event.remaining_quantity - 5,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_trade_against_prevention_or_band_is_found(fault: str) -> None:
    assert "protections" in changed_last(FAULTS[fault])


def test_own_order_that_closes_behind_a_trade_with_the_next_one_is_found() -> None:
    late = (Prevented("b1", 5, 1),)
    assert "priority" in changed_last(lambda event: structs.replace(event, prevented=late))


@pytest.mark.parametrize("reason", ["self_trade", "no_liquidity", "cancelled"])
def test_another_reason_than_the_band_is_found(reason: str) -> None:
    assert "priority" in changed_last(lambda event: structs.replace(event, closed_reason=reason))


def test_end_at_a_band_that_is_not_reached_is_found() -> None:
    recorded = outcomes(HISTORY, Rules())
    first = recorded[0].event
    assert isinstance(first, InstrumentSet)
    wider = structs.replace(first.rules, band_ppm=40_000)
    recorded[0] = structs.replace(recorded[0], event=structs.replace(first, rules=wider))
    assert "priority" in failing(HISTORY, recorded, Rules())


def test_missing_self_trade_reason_is_found() -> None:
    texts = (*HISTORY[:2], "buy 5 @ 101 by bob as b2 doc 7 own cancel_taker")
    recorded = outcomes(texts, Rules())
    assert failing(texts, recorded, Rules()) == set()
    last = recorded[-1]
    assert isinstance(last.event, OrderEntered)
    assert last.event.closed_reason == "self_trade"
    event = structs.replace(last.event, closed_reason="cancelled")
    recorded[-1] = structs.replace(last, event=event)
    assert "priority" in failing(texts, recorded, Rules())


def test_elected_stop_that_trades_in_the_band_that_its_command_moved_is_found() -> None:
    texts = (
        "instrument 100 band 10000",
        "sell 1 @ 101 by ann as a1",
        "sell 1 @ 102 by ann as a2",
        "buy 1 by bob as b1 stop 101",
        "buy 1 @ 101 by dan as d1",
    )
    recorded = outcomes(texts, Rules())
    (elected,) = recorded[-1].after
    assert elected.closed_reason == "price_band"
    assert failing(texts, recorded, Rules()) == set()
    fill = Fill("", 2, 102, 1, "a2", "ann", 0)
    filled = structs.replace(elected, fills=(fill,), remaining_quantity=0, closed_reason="filled")
    recorded[-1] = structs.replace(recorded[-1], after=(filled,))
    assert "protections" in failing(texts, recorded, Rules())


def test_stops_that_carried_ones_reach_are_a_pass_before_those_of_the_command() -> None:
    rules = Rules(elections_max=1)
    texts = (
        "instrument 100",
        "sell 1 @ 101 by ann as a1",
        "sell 1 @ 102 by ann as a2",
        "sell 1 @ 103 by ann as a3",
        "sell 9 @ 104 by ann as a4",
        "buy 1 by bob as b1 stop 101",
        "buy 1 by bob as b2 stop 101",
        "buy 1 by bob as b3 stop 103",
        "buy 1 @ 101 by dan as d1",
        "buy 1 @ 104 by dan as d2",
        "tick",
    )
    recorded = outcomes(texts, rules)
    # b2 is carried into the command of d2 and reaches b3 at 103, before d2 trades at 104.
    assert [step.order_id for step in recorded[9].before] == ["b2"]
    assert [(step.order_id, step.trigger_price) for step in recorded[10].before] == [("b3", 103)]
    assert failing(texts, recorded, rules) == set()
