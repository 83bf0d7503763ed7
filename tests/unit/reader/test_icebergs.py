"""Iceberg orders in the views and in the rows of the sink, from an engine's outcomes."""

import random

import pytest
from msgspec import structs

from schemas.commands import PlaceOrder
from schemas.executions import Outcome
from schemas.units import Side
from services.matcher.book import IcebergOrder
from services.matcher.engine import Engine, EnginePosition
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch
from services.sink.copy_format import change_line, order_line
from services.sink.rows import Rows
from tests.properties.flows import flow, random_shape
from tests.support.scenario import SYMBOL, command_of

SIDES: tuple[Side, Side] = ("bid", "ask")


@pytest.mark.parametrize("seed", range(4))
def test_views_show_of_each_book_and_order_what_the_engine_shows(seed: int) -> None:
    rng = random.Random(seed)
    shape = structs.replace(
        random_shape(rng), icebergs=0.6, amendments=0.2, stops=0.1, quantities=30, quotas=False
    )
    engine, views = Engine(0), Views()
    shown = 0
    for step in flow(rng, shape, 400):
        if isinstance(step.command, PlaceOrder) and views.order(step.command.order_id) is not None:
            # No gateway gives an id twice.
            continue
        outcome = engine.apply(step.command, EnginePosition(0, step.offset, step.timestamp))
        views.apply(Batch(0, step.offset, (outcome,)))
        for symbol, book in engine.books.items():
            for side in SIDES:
                assert list(views.book_view(symbol).levels(side)) == book.levels(side), step
            for order in book.all_orders():
                record = views.order(order.order_id)
                assert record is not None
                assert record.remaining_quantity == order.unfilled
                is_iceberg = isinstance(order, IcebergOrder)
                assert record.displayed_quantity == (order.remaining if is_iceberg else None)
                shown += is_iceberg and order.unfilled > order.remaining
    assert shown > 100


def outcomes(*texts: str) -> list[Outcome]:
    engine = Engine(0)
    return [
        engine.apply(command_of(text), EnginePosition(0, offset, offset))
        for offset, text in enumerate(texts)
    ]


TEXTS = (
    "sell 30 @ 50 by ann as a1 show 10",
    "buy 13 @ 50 by bob as b1",
    "amend a1 by ann show 5",
    "cancel a1 by ann",
)


@pytest.mark.parametrize(
    ("commands", "shown"),
    [(1, (10, 10, "open")), (2, (10, 7, "open")), (3, (5, 7, "open")), (4, (5, None, "closed"))],
)
def test_order_shows_its_display_and_what_the_book_shows(
    commands: int, shown: tuple[int, int | None, str]
) -> None:
    views = Views()
    views.apply(Batch(0, 0, tuple(outcomes(*TEXTS[:commands]))))
    record = views.order("a1")
    assert record is not None
    for order in (record.resource(), record.summary()):
        assert (order.display_quantity, order.displayed_quantity, order.status) == shown
    total = sum(level.total_quantity for level in views.book(SYMBOL, 5, 0).asks)
    assert total == (shown[1] or 0)


def test_rows_have_display_and_displayed_quantity() -> None:
    first, *more = outcomes(*TEXTS)
    rows = Rows()
    rows.add(Batch(0, 0, (first,)))
    assert order_line(rows.new["a1"]).endswith("\t10\t10\t\\N\t0\n")
    ends = []
    for count in (1, 2, 3):
        rows = Rows()
        rows.add(Batch(0, 1, tuple(more[:count])))
        ends.append(change_line("a1", rows.changed["a1"]).split("\t")[-2:])
    assert ends == [[r"\N", "7\n"], ["5", "7\n"], ["5", "7\n"]]
