"""Stop orders in the views, the rows of the sink and the own events, from an engine's outcomes."""

from schemas.outcome_steps import steps_of, trades_of
from schemas.own_events import own_events_of
from schemas.units import rfc3339
from services.matcher.engine import Engine, EnginePosition
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch
from services.sink.copy_format import change_line
from services.sink.rows import Rows
from tests.support.scenario import SYMBOL, command_of

# d1 trades at 105, which elects b1; both have rests, which enter the book.
TEXTS = (
    "instrument 100",
    "sell 2 @ 105 by ann as a1",
    "sell 4 @ 106 by ann as a2",
    "buy 5 @ 110 by bob as b1 stop 105",
    "buy 4 @ 105 by dan as d1",
)


def outcomes() -> Batch:
    engine = Engine(0)
    return Batch(
        0,
        0,
        tuple(
            engine.apply(command_of(text), EnginePosition(0, offset, offset))
            for offset, text in enumerate(TEXTS)
        ),
    )


def test_waiting_stop_is_open_and_not_in_the_book() -> None:
    batch = outcomes()
    views = Views()
    views.apply(Batch(0, 0, batch.outcomes[:4]))
    order = views.order("b1")
    assert order is not None
    assert order.is_outside_book
    shown = order.resource()
    assert (shown.status, shown.order_type, shown.triggered_at) == ("open", "stop_limit", None)
    assert views.book(SYMBOL, 5, 0).bids == []


def test_elected_stop_has_its_trades_and_rests_with_what_is_left() -> None:
    batch = outcomes()
    views = Views()
    views.apply(batch)
    order = views.order("b1")
    assert order is not None
    shown = order.resource()
    assert (shown.triggered_at, shown.remaining_quantity) == (rfc3339(4), 1)
    assert [(trade.price, trade.quantity) for trade in shown.trades] == [(106, 4)]
    bids = [(level.price, level.total_quantity) for level in views.book(SYMBOL, 5, 0).bids]
    assert bids == [(110, 1), (105, 2)]
    assert views.trade_sequence(SYMBOL) == 2


def test_trades_of_an_outcome_are_numbered_through_its_elections() -> None:
    last = outcomes().outcomes[-1]
    assert [(trade.taker.order_id, trade.index) for trade in trades_of(last)] == [
        ("d1", 0),
        ("b1", 1),
    ]
    events = own_events_of(last, steps_of(last))
    assert [(each.order_id, each.cause, len(each.trades)) for each in events] == [
        ("d1", "placed", 1),
        ("b1", "triggered", 1),
        ("a1", "traded", 1),
        ("a2", "traded", 1),
    ]


def test_election_of_an_earlier_stop_changes_its_row() -> None:
    batch = outcomes()
    rows = Rows()
    rows.add(Batch(0, 4, batch.outcomes[4:]))
    change = rows.changed["b1"]
    assert (change.remaining_quantity, change.filled_value, change.triggered_at) == (1, 424, 4)
    assert change.trades_count == 1
    assert change_line("b1", change).split("\t")[9] == rfc3339(4)
    assert [(trade.taker_remaining, trade.index) for trade in rows.trades] == [(2, 0), (1, 1)]


AMENDED = (
    "instrument 100",
    "buy 5 @ 110 by bob as b1 stop 105",
    "amend b1 by bob to 7 of 5 @ 111 stop 106",
    "amend b1 by bob to 7 of 7 until 50 is waiting",
)


def test_replaced_stop_order_waits_with_its_new_values() -> None:
    engine, views, rows = Engine(0), Views(), Rows()
    for offset, text in enumerate(AMENDED):
        outcome = engine.apply(command_of(text), EnginePosition(0, offset, offset))
        views.apply(Batch(0, offset, (outcome,)))
        if offset > 1:
            rows.add(Batch(0, offset, (outcome,)))
    order = views.order("b1")
    assert order is not None
    shown = order.resource()
    assert (shown.status, shown.quantity, shown.price, shown.stop_price) == ("open", 7, 111, 106)
    assert (shown.valid_until, shown.triggered_at) == (rfc3339(50), None)
    assert views.book(SYMBOL, 5, 0).bids == []
    fields = change_line("b1", rows.changed["b1"]).split("\t")
    assert fields[1:5] == ["7", "0", "0", r"\N"]
    assert fields[6:11] == ["111", "7", rfc3339(50), r"\N", "106"]
    # The engine restored from a snapshot has the same stop orders.
    restored = Engine.restore(engine.snapshot())
    assert restored.digest() == engine.digest()
