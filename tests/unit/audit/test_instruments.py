"""The audit's judgement of instruments: outcomes by other rules are reported."""

import pytest
from msgspec import structs

from schemas.commands import Command, SetInstrument
from schemas.executions import CommandRefused, InstrumentSet, Outcome
from schemas.instruments import InstrumentRules
from services.audit.client_answers import Answers
from services.audit.instruments import InstrumentAudit
from services.audit.report import AuditReport
from services.audit.stops import StopAudit
from services.matcher.engine import Engine, EnginePosition
from tests.support.orders import SYMBOL, limit, market

RULES = InstrumentRules(
    tick_size=5, lot_size=10, quantity_max=100, value_max=6_000, price_min=45, price_max=55
)
REQUEST = "0123456789abcdef"
ORDERS = {
    "kept": limit(1, price=50, quantity=100),
    "off_tick": limit(2, price=51, quantity=10),
    "off_lot": limit(3, price=50, quantity=15),
    "over_max_quantity": limit(4, price=50, quantity=110),
    "over_max_value": limit(5, side="ask", price=75, quantity=90),
    "outside_price_band": limit(6, price=60, quantity=10),
    "market": market(7, quantity=50),
}


def differences(rules: InstrumentRules, *orders: Command) -> int:
    """Differences that the audit finds under RULES, where the engine had other ones."""
    engine, report = Engine(0), AuditReport()
    audit = InstrumentAudit(0, report)
    for offset, command in enumerate([SetInstrument(SYMBOL, REQUEST, rules, 50), *orders]):
        outcome = engine.apply(command, EnginePosition(0, offset, 1))
        if isinstance(outcome.event, InstrumentSet):
            outcome = structs.replace(outcome, event=structs.replace(outcome.event, rules=RULES))
        audit.apply(command, outcome, offset)
    assert report["instruments"].checked == len(orders)
    return report["instruments"].differences


@pytest.mark.parametrize("name", ORDERS)
def test_order_that_keeps_to_the_rules_or_is_refused_passes(name: str) -> None:
    assert differences(RULES, ORDERS[name]) == 0


@pytest.mark.parametrize("name", ORDERS.keys() - {"kept", "market"})
def test_accepted_order_that_breaks_a_rule_is_reported(name: str) -> None:
    assert differences(InstrumentRules(), ORDERS[name]) == 1


@pytest.mark.parametrize(
    "rules",
    [
        structs.replace(RULES, tick_size=20),
        structs.replace(RULES, lot_size=30),
        structs.replace(RULES, quantity_max=90),
        structs.replace(RULES, value_max=4_000),
        structs.replace(RULES, price_max=49),
    ],
)
def test_refused_order_that_breaks_no_rule_is_reported(rules: InstrumentRules) -> None:
    assert differences(rules, ORDERS["kept"]) == 1


def test_reference_price_of_a_market_order_is_that_of_the_last_trade() -> None:
    report = AuditReport()
    audit, engine = InstrumentAudit(0, report), Engine(0)
    rules = InstrumentRules(value_max=1_000)
    commands: list[Command] = [
        SetInstrument(SYMBOL, REQUEST, rules, 50),
        limit(1, side="ask", price=100, quantity=10),
        limit(2, price=100, quantity=10),
        market(3, quantity=11),
    ]
    for offset, command in enumerate(commands):
        outcome = engine.apply(command, EnginePosition(0, offset, 1))
        audit.apply(command, outcome, offset)
    assert isinstance(outcome.event, CommandRefused)
    assert report["instruments"].differences == 0
    assert audit.stored() == {
        SYMBOL: ("continuous", 50, 0, 1, 1, None, 1_000, None, None, None, "cancel")
    }


SET = SetInstrument(SYMBOL, REQUEST, RULES, 50)
DONE = InstrumentSet(SYMBOL, REQUEST, RULES, 50, "continuous", 0, 0)


@pytest.mark.parametrize(
    ("command", "event", "wrong"),
    [
        (SET, DONE, 0),
        (structs.replace(SET, reference_price=None), structs.replace(DONE, reference_price=7), 0),
        (SET, structs.replace(DONE, reference_price=51), 1),
        (SET, structs.replace(DONE, rules=InstrumentRules()), 1),
        (SET, structs.replace(DONE, request="f" * 16), 1),
        (SET, CommandRefused("needs_reference_price", request=REQUEST), 1),
        (
            structs.replace(SET, reference_price=None),
            CommandRefused("needs_reference_price", request=REQUEST),
            0,
        ),
    ],
)
def test_outcome_of_another_instrument_is_reported(
    command: SetInstrument, event: InstrumentSet | CommandRefused, wrong: int
) -> None:
    report = AuditReport()
    Answers({}, StopAudit(0, report), report).look(
        command, Outcome(1, event), EnginePosition(0, 0, 1)
    )
    assert report["answers"].differences == wrong
