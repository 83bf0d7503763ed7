"""The audit's judgement of phases and day orders: outcomes by other rules are reported."""

from collections.abc import Callable
from typing import get_args

import pytest
from msgspec import structs

from schemas.commands import AmendOrder, Command, EnterOrder, SetInstrument, SetPhase, Tick
from schemas.executions import CommandRefused, Outcome, PhaseSet
from schemas.instruments import InstrumentRules, Phase
from services.audit.books import OutcomeBooks
from services.audit.client_answers import Answers
from services.audit.instruments import InstrumentAudit
from services.audit.ledger import Ledger, Totals
from services.audit.phases import PhaseAudit
from services.audit.protections import Protections
from services.audit.report import AuditReport, Name
from services.audit.stops import StopAudit
from services.matcher.engine import Engine, EnginePosition
from services.matcher.instrument import Instrument
from services.matcher.phases import PhasedOrders
from services.matcher.rules import Rules
from tests.support.orders import SYMBOL, cancel, limit, market

REQUEST = "0123456789abcdef"
INSTRUMENT = SetInstrument(SYMBOL, REQUEST, InstrumentRules(), 50)
FEW = Rules(expiries_max=1, elections_max=1)


def phase(name: Phase, expected: Phase | None = None) -> SetPhase:
    return SetPhase(SYMBOL, REQUEST, name, expected)


def day(number: int, **fields: object) -> EnterOrder:
    return EnterOrder(**structs.asdict(limit(number, **fields)), time_in_force="day")


def preventing(number: int, **fields: object) -> EnterOrder:
    order = limit(number, **fields)
    return EnterOrder(**structs.asdict(order), self_trade_prevention="cancel_maker")


def stop(number: int, stop_price: int, **fields: object) -> EnterOrder:
    order = market(number, **fields)
    return EnterOrder(**structs.asdict(order), stop_price=stop_price)


def amend(number: int, quantity: int) -> AmendOrder:
    order = limit(number)
    return AmendOrder(order.order_id, order.broker_id, REQUEST, quantity, order.quantity)


class MarketAudit:
    """The checks of one partition that know phases, in the order of the audit."""

    def __init__(self, rules: Rules) -> None:
        self.report = AuditReport()
        self._ledger = Ledger(0, Totals(), self.report)
        self._stops = StopAudit(0, self.report, rules)
        self._answers = Answers(self._ledger.open, self._stops, self.report)
        self._instruments = InstrumentAudit(0, self.report)
        protections = Protections(self._ledger.open, self._instruments)
        self._books = OutcomeBooks(0, self.report, protections, rules)
        self._phases = PhaseAudit(0, self._ledger.open, self.report, rules)

    def apply(self, command: Command, outcome: Outcome, offset: int) -> None:
        """Check one command and its outcome."""
        self._answers.look(command, outcome, EnginePosition(0, offset, offset))
        self._books.apply(outcome, offset, command)
        self._instruments.apply(command, outcome, offset)
        self._phases.apply(command, outcome, offset)
        self._stops.apply(outcome, offset)
        self._ledger.apply(outcome, offset)

    def wrong(self) -> set[str]:
        """Names of the checks that found a difference."""
        return {name for name in get_args(Name) if self.report[name].differences}


def audited(*commands: Command, rules: Rules = FEW) -> MarketAudit:
    """The audit of what the engine makes of these commands on a symbol with an instrument."""
    engine, audit = Engine(0, rules), MarketAudit(rules)
    for offset, command in enumerate([INSTRUMENT, *commands]):
        audit.apply(command, engine.apply(command, EnginePosition(0, offset, offset)), offset)
    return audit


MARKETS: dict[str, list[Command]] = {
    "halt": [
        limit(1, side="ask", price=50),
        phase("halted"),
        limit(2, price=50),
        amend(1, 3),
        cancel(1),
        phase("continuous", "closed"),
        phase("continuous"),
        limit(3, price=50),
    ],
    "day_orders": [
        *(day(number, side="ask", price=50) for number in (1, 2, 3)),
        limit(4, side="ask", price=51),
        phase("closed"),
        phase("closed"),
        phase("continuous"),
        market(5, quantity=1),
        Tick(),
        market(6, quantity=1),
    ],
    "prevented_day_order": [
        day(1, side="ask", price=50),
        preventing(2, price=50),
        phase("closed"),
        phase("continuous"),
        Tick(),
    ],
    "stops": [
        limit(1, side="ask", price=55, quantity=50),
        *(stop(number, 55, quantity=1) for number in (2, 3, 4)),
        limit(5, price=55, quantity=1),
        phase("halted"),
        Tick(),
        cancel(3),
        phase("continuous"),
        Tick(),
    ],
    "return": [
        limit(1, side="ask", price=60, quantity=50),
        stop(2, 55, quantity=1),
        phase("halted"),
        structs.replace(INSTRUMENT, reference_price=56),
        phase("continuous"),
    ],
}


@pytest.mark.parametrize("name", MARKETS)
def test_market_that_keeps_its_phases_passes(name: str) -> None:
    audit = audited(*MARKETS[name])
    assert audit.wrong() == set()
    assert audit.report["phases"].checked > 0


def no_refusal(_: Instrument) -> None:
    return None


def no_end(_: PhasedOrders, __: str) -> None:
    return None


def always(_: PhasedOrders, __: str) -> bool:
    return True


# The defect, the market that shows it, and the checks that report it.
DEFECTS: dict[str, tuple[type, str, Callable[..., object], str]] = {
    "order_is_accepted_in_a_halt": (Instrument, "phase_refusal", no_refusal, "halt"),
    "day_orders_survive_the_close": (PhasedOrders, "_end_day", no_end, "day_orders"),
    "stop_trades_in_a_halt": (PhasedOrders, "_is_trading", always, "stops"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_of_the_engine_is_reported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, method, defect, flow = DEFECTS[name]
    monkeypatch.setattr(owner, method, defect)
    assert "phases" in audited(*MARKETS[flow]).wrong()


def test_stop_that_is_not_compared_on_the_return_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PhasedOrders, "_hold_or_compare", lambda *_: None)
    assert "stops" in audited(*MARKETS["return"]).wrong()


def differences(*steps: tuple[Command, Outcome]) -> int:
    """Differences of phases in recorded outcomes."""
    report = AuditReport()
    audit = PhaseAudit(0, {}, report)
    engine = Engine(0)
    audit.apply(INSTRUMENT, engine.apply(INSTRUMENT, EnginePosition(0, 0, 1)), 0)
    for offset, (command, outcome) in enumerate(steps, 1):
        audit.apply(command, outcome, offset)
    return report["phases"].differences


def refused(code: str) -> Outcome:
    order = limit(1)
    return Outcome(1, CommandRefused(code, order.order_id, order.broker_id))  # type: ignore[arg-type]


HALT = Outcome(1, PhaseSet(SYMBOL, REQUEST, "continuous", "halted", 1))


def test_refusal_of_another_phase_or_order_of_checks_is_reported() -> None:
    order = limit(1)
    assert differences((phase("halted"), HALT), (order, refused("market_halted"))) == 0
    assert differences((phase("halted"), HALT), (order, refused("market_closed"))) == 1
    assert differences((phase("halted"), HALT), (order, refused("off_tick"))) == 1
    assert differences((order, refused("market_halted"))) == 1


@pytest.mark.parametrize("previous", [each for each in get_args(Phase) if each != "continuous"])
def test_wrong_phase_before_is_reported(previous: Phase) -> None:
    wrong = PhaseSet(SYMBOL, REQUEST, previous, "halted", 1)
    assert differences((phase("halted"), Outcome(1, wrong))) == 1


@pytest.mark.parametrize(
    ("command", "code", "wrong"),
    [
        (phase("halted", "closed"), "phase_differs", 0),
        (phase("continuous", "closed"), "phase_differs", 1),
        (phase("halted"), "needs_instrument", 1),
        (SetPhase("OTHER", REQUEST, "halted"), "needs_instrument", 0),
    ],
)
def test_refused_phase_is_judged(command: SetPhase, code: str, wrong: int) -> None:
    event = CommandRefused(code, request=REQUEST)  # type: ignore[arg-type]
    assert differences((command, Outcome(1, event))) == wrong
