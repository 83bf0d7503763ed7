"""The audit's judgement of iceberg orders: outcomes by other rules are reported."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from schemas.executions import Event, OrderAccepted, Outcome
from services.audit.books import OutcomeBooks
from services.audit.instruments import InstrumentAudit
from services.audit.protections import Protections
from services.audit.report import AuditReport, Name
from services.matcher.engine import Engine, EnginePosition
from tests.support.scenario import command_of

# a1 and then c1 rest at one price; b1 takes more than they show.
TEXTS = (
    "sell 30 @ 50 by ann as a1 show 10",
    "sell 5 @ 50 by cid as c1",
    "amend a1 by ann show 4",
    "buy 17 @ 50 by bob as b1",
    "buy 9 @ 49 by bob as b2 show 3",
)


def judged(offset: int, change: Callable[[Any], Event]) -> set[Name]:
    """Checks that fail where the event at this offset is recorded with a change."""
    engine, report = Engine(0), AuditReport()
    books = OutcomeBooks(0, report, Protections({}, InstrumentAudit(0, report)))
    for number, text in enumerate(TEXTS):
        command = command_of(text)
        outcome: Outcome = engine.apply(command, EnginePosition(0, number, number))
        if number == offset:
            outcome = structs.replace(outcome, event=change(outcome.event))
        books.apply(outcome, number, command)
    assert report["slices"].checked >= len(TEXTS) - 1
    return {found.name for found in report.invariants() if found.differences}


def with_fill(index: int, **changes: object) -> Callable[[OrderAccepted], OrderAccepted]:
    def change(event: OrderAccepted) -> OrderAccepted:
        fills = list(event.fills)
        fills[index] = structs.replace(fills[index], **changes)
        return structs.replace(event, fills=tuple(fills))

    return change


def slice_in_front(event: OrderAccepted) -> OrderAccepted:
    """The next slice of a1 trades before c1."""
    first, second, third = event.fills
    ids = (second.trade_id, second.sequence), (third.trade_id, third.sequence)
    moved = [
        structs.replace(fill, trade_id=name, sequence=number)
        for fill, (name, number) in zip((third, second), ids, strict=True)
    ]
    return structs.replace(event, fills=(first, *moved))


def test_outcomes_of_the_engine_pass() -> None:
    assert judged(3, lambda event: event) == set()


@pytest.mark.parametrize(
    ("offset", "change", "wanted"),
    [
        (0, lambda event: structs.replace(event, displayed_quantity=30), "slices"),
        (0, lambda event: structs.replace(event, displayed_quantity=None), "slices"),
        (2, lambda event: structs.replace(event, displayed_quantity=4), "slices"),
        (3, with_fill(0, maker_displayed_quantity=10), "slices"),
        (3, with_fill(2, maker_displayed_quantity=None), "slices"),
        (3, slice_in_front, "priority"),
        (4, lambda event: structs.replace(event, displayed_quantity=9), "slices"),
    ],
)
def test_outcome_by_another_rule_is_reported(
    offset: int, change: Callable[[Any], Event], wanted: Name
) -> None:
    assert wanted in judged(offset, change)
