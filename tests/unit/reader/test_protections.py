"""Prevented self-trades and price bands in the views, the rows of the sink, the own events and the
live feed, from an engine's outcomes."""

import random

import pytest
from msgspec import structs

from schemas.commands import PlaceOrder
from schemas.executions import Outcome
from schemas.outcome_steps import MakerPrevented, steps_of
from schemas.own_events import own_events_of
from schemas.units import Side
from services.feeds.market import MarketChanges
from services.matcher.engine import Engine, EnginePosition
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch
from services.sink.copy_format import change_line, order_line
from services.sink.rows import Rows
from tests.properties.flows import flow, random_shape
from tests.support.scenario import SYMBOL, command_of

SIDES: tuple[Side, Side] = ("bid", "ask")
# b2 comes to a1, then to its own b1, which closes, and rests.
PREVENTED = (
    "instrument 100",
    "sell 2 @ 101 by ann as a1",
    "sell 5 @ 101 by bob as b1",
    "buy 9 @ 101 by bob as b2 own cancel_maker",
)
BEYOND = ("instrument 100 band 10000", "sell 5 @ 102 by ann as a1", "buy 9 @ 102 by bob as b2")


def outcomes(texts: tuple[str, ...]) -> tuple[Outcome, ...]:
    engine = Engine(0)
    return tuple(
        engine.apply(command_of(text), EnginePosition(0, offset, offset))
        for offset, text in enumerate(texts)
    )


def viewed(texts: tuple[str, ...]) -> Views:
    views = Views()
    views.apply(Batch(0, 0, outcomes(texts)))
    return views


def test_closed_maker_leaves_the_book_and_shows_its_reason() -> None:
    views = viewed(PREVENTED)
    maker, taker = views.order("b1"), views.order("b2")
    assert maker is not None
    assert taker is not None
    shown = maker.resource()
    assert (shown.status, shown.closed_reason, shown.remaining_quantity) == (
        "closed",
        "self_trade",
        5,
    )
    assert (maker.resource().self_trade_prevention, taker.resource().self_trade_prevention) == (
        "none",
        "cancel_maker",
    )
    assert taker.summary().self_trade_prevention == "cancel_maker"
    assert views.book(SYMBOL, 5, 0).asks == []
    assert [level.total_quantity for level in views.book(SYMBOL, 5, 0).bids] == [7]


def test_order_that_the_band_closed_never_rests() -> None:
    views = viewed(BEYOND)
    order = views.order("b2")
    assert order is not None
    assert (order.resource().closed_reason, order.remaining_quantity) == ("price_band", 9)
    assert views.book(SYMBOL, 5, 0).bids == []


def test_prevented_maker_is_a_step_and_an_own_event_behind_its_taker() -> None:
    last = outcomes(PREVENTED)[-1]
    steps = steps_of(last)
    assert [step for step, _ in steps][1:] == [MakerPrevented("b1", "bob", SYMBOL, 5, 3)]
    events = own_events_of(last, steps)
    assert [(each.order_id, each.cause, len(each.trades)) for each in events] == [
        ("b2", "placed", 1),
        ("b1", "prevented", 0),
        ("a1", "traded", 1),
    ]


def test_maker_that_stays_has_no_step() -> None:
    last = outcomes((*PREVENTED[:3], "buy 9 @ 101 by bob as b2 own cancel_taker"))[-1]
    assert [event.order_id for event in own_events_of(last, steps_of(last))] == ["b2", "a1"]


def test_rows_have_mode_and_reason_of_new_and_of_earlier_orders() -> None:
    all_at_once, later = Rows(), Rows()
    found = outcomes(PREVENTED)
    all_at_once.add(Batch(0, 0, found))
    assert all_at_once.new["b1"].record.closed_reason == "self_trade"
    assert order_line(all_at_once.new["b2"]).endswith("\tcancel_maker\t1\n")
    later.add(Batch(0, 3, found[3:]))
    change = later.changed["b1"]
    assert (change.closed_reason, change.remaining_quantity) == ("self_trade", 5)
    assert change_line("b1", change).split("\t")[4] == "self_trade"
    assert later.own_events == {(0, "bob"): 2, (0, "ann"): 1}


def test_live_book_learns_of_the_level_that_a_closed_maker_left() -> None:
    texts = (
        *PREVENTED[:3],
        "sell 1 @ 102 by bob as b3",
        "buy 2 @ 102 by bob as b2 is ioc own cancel_maker",
        "buy 9 @ 102 by bob as b4 is ioc own cancel_maker",
    )
    views = viewed(texts)
    changes = MarketChanges(lambda: views, lambda: 0)
    changes.books.watch(SYMBOL)
    changes.apply(Batch(0, 4, outcomes(texts)[4:]))
    book = changes.take(SYMBOL).book
    assert book is not None
    assert book.levels is not None
    # a1 traded and b1 closed at 101; b3 closed at 102, where no trade was.
    assert list(book.levels) == [("ask", 101), ("ask", 102)]


@pytest.mark.parametrize("seed", range(4))
def test_views_are_the_engines_books_and_orders(seed: int) -> None:
    rng = random.Random(seed)
    shape = structs.replace(
        random_shape(rng), preventions=0.8, bands=True, brokers=2, stops=0.2, quotas=False
    )
    engine, views = Engine(0), Views()
    closed = 0
    for step in flow(rng, shape, 300):
        if isinstance(step.command, PlaceOrder) and views.order(step.command.order_id) is not None:
            # No gateway gives an id twice.
            continue
        outcome = engine.apply(step.command, EnginePosition(0, step.offset, step.timestamp))
        views.apply(Batch(0, step.offset, (outcome,)))
        for symbol, book in engine.books.items():
            for side in SIDES:
                assert list(views.book_view(symbol).levels(side)) == book.levels(side), step
        closed += sum(isinstance(each, MakerPrevented) for each, _ in steps_of(outcome))
    assert closed
