"""Checks of mass cancels, phases, instruments and self-trade prevention, on small histories that
are correct or have one thing wrong."""

import pytest
from msgspec import structs

from loadgen.client.record import RequestRecord, RequestResult
from schemas.commands import PlaceOrder
from schemas.executions import (
    CancelledOrder,
    CommandRefused,
    Event,
    Fill,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderEntered,
    OrdersCancelled,
    Outcome,
    PhaseSet,
    Prevented,
)
from schemas.instruments import InstrumentRules, Phase
from services.audit.report import AuditReport
from tests.chaos.checker import failed_invariants
from tests.chaos.controls import (
    KINDS,
    MarketChange,
    MassCancel,
    kinds_of,
    not_cancelled,
    wrong_in_phase,
    wrongly_changed,
    wrongly_prevented,
)
from tests.chaos.reconciliation import Market, OrderState, order_states, symbol_views

RULES = InstrumentRules(lot_size=100)
MAKER = OrderAccepted("m", "b1", "1", "PETR4", "ask", "limit", 100, 100, 1, 10)
OTHER = structs.replace(MAKER, order_id="n", broker_id="b2", price=12, book_sequence=2)
ALL_CANCELLED = OrdersCancelled("b1", "r1", (CancelledOrder("m", "PETR4", 100, 3),))
CANCELLED = Market([], [Outcome(1, MAKER), Outcome(2, OTHER), Outcome(3, ALL_CANCELLED)], [])


def attempt(covered: str, cancelled: str = "", status: int = 200) -> MassCancel:
    return MassCancel("b1", tuple(covered), RequestResult(status), tuple(cancelled))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (attempt("m", "m"), 0),
        # It was cancelled by another attempt, whose answer was lost.
        (attempt("m", ""), 0),
        (attempt("mn", "m"), 1),
        (attempt("mn", "m", status=504), 0),
        (attempt("", "n"), 1),
        (attempt("mn", "mn"), 2),
    ],
)
def test_order_that_a_granted_mass_cancel_left_open_is_a_contradiction(
    given: MassCancel, found: int
) -> None:
    assert len(not_cancelled([given], CANCELLED)) == found


def phase_set(phase: Phase, previous: Phase, request: str = "r2", sequence: int = 2) -> PhaseSet:
    return PhaseSet("PETR4", request, previous, phase, sequence)


INSTRUMENT = InstrumentSet("PETR4", "r1", RULES, 10, "continuous", 1, 0)
HALT = phase_set("halted", "continuous")
# The second record of the request is a foreign writer's.
CHANGED = Market([], [Outcome(1, INSTRUMENT), Outcome(2, HALT), Outcome(3, HALT)], [])


@pytest.mark.parametrize(
    ("wanted", "statuses", "found"),
    [
        ("halted", [200], 0),
        ("halted", [504, 0], 0),
        ("halted", [503, 202], 0),
        ("halted", [200, 200], 1),
        ("halted", [503], 0),
        ("closed", [200], 1),
        ("closed", [504], 0),
        (RULES, [200], 0),
        (RULES, [200, 200], 1),
        (InstrumentRules(lot_size=7), [200], 1),
    ],
)
def test_change_of_a_market_that_was_granted_is_in_the_topics(
    wanted: Phase | InstrumentRules, statuses: list[int], found: int
) -> None:
    changes = [MarketChange("PETR4", wanted, RequestResult(each)) for each in statuses]
    assert len(wrongly_changed(changes, CHANGED)) == found


def test_refused_change_of_a_market_may_be_made_when_its_record_is_repeated() -> None:
    refused = CommandRefused("phase_differs", request=HALT.request)
    halted = phase_set("halted", "continuous", "r3")
    changes = [MarketChange("PETR4", "halted", RequestResult(status)) for status in (409, 200)]
    repeated = Market([], [Outcome(1, refused), Outcome(2, HALT), Outcome(3, halted)], [])
    assert wrongly_changed(changes, repeated) == []
    assert len(wrongly_changed(changes, Market([], repeated.outcomes[1:], []))) == 1


def test_change_of_a_market_more_often_than_possible_is_found() -> None:
    more = structs.replace(
        CHANGED, outcomes=[*CHANGED.outcomes, Outcome(4, phase_set("halted", "continuous", "r3"))]
    )
    changes = [MarketChange("PETR4", "halted", RequestResult(200))]
    assert len(wrongly_changed(changes, more)) == 1


PLACE = PlaceOrder("t", "b1", "1", "PETR4", "ask", "limit", 100, 10, None, "c1")
REFUSED = CommandRefused("market_halted", "t", "b1")
ENTERED = structs.replace(MAKER, order_id="t", client_order_id="c1")
AMENDED = OrderAmended("m", "b1", "r", "PETR4", "ask", 10, 50, 3)


def refusal(code: str = "market_halted", name: str = "c1") -> RequestRecord:
    return RequestRecord("order", 0, 0, 0, RequestResult(409, code), 0, name)


@pytest.mark.parametrize(
    ("outcomes", "lines", "found"),
    [
        ([HALT, REFUSED], [refusal()], 0),
        ([HALT, REFUSED], [refusal("market_closed")], 1),
        ([HALT, REFUSED], [refusal(name="c2")], 1),
        ([HALT], [refusal()], 1),
        ([HALT, ENTERED], [], 1),
        ([HALT, AMENDED], [], 1),
        ([HALT, phase_set("continuous", "halted"), ENTERED, AMENDED], [], 0),
    ],
)
def test_order_that_enters_or_is_refused_against_the_phase_is_a_contradiction(
    outcomes: list[Event], lines: list[RequestRecord], found: int
) -> None:
    market = Market([PLACE], [Outcome(n, each) for n, each in enumerate(outcomes)], [])
    assert len(wrong_in_phase(lines, ["b1"], market)) == found


def entered(
    fills: tuple[Fill, ...] = (), prevented: tuple[Prevented, ...] = (), remaining: int = 40
) -> OrderEntered:
    return OrderEntered(
        "t",
        "b1",
        "1",
        "PETR4",
        "bid",
        "limit",
        40,
        remaining,
        3,
        12,
        fills=fills,
        self_trade_prevention="cancel_maker",
        prevented=prevented,
    )


WITH_OTHER = Fill("x", 1, 12, 40, "n", "b2", 60)
WITH_OWN = Fill("x", 1, 10, 40, "m", "b1", 60)


@pytest.mark.parametrize(
    ("taker", "found"),
    [
        (entered((WITH_OTHER,), (Prevented("m", 100, 0),), 0), 0),
        (entered((WITH_OTHER,), (Prevented("m", 99, 0),), 0), 1),
        (entered((WITH_OWN,), (), 0), 1),
        (entered((), (Prevented("m", 0, 0),)), 0),
    ],
)
def test_prevented_quantities_are_accounted_for(taker: OrderEntered, found: int) -> None:
    market = Market([], [Outcome(1, MAKER), Outcome(2, OTHER), Outcome(3, taker)], [])
    assert len(wrongly_prevented(market)) == found


def test_prevented_order_is_closed_and_has_left_the_book() -> None:
    taker = entered((WITH_OTHER,), (Prevented("m", 100, 0),), 0)
    taker = structs.replace(taker, closed_reason="filled")
    market = Market([], [Outcome(1, MAKER), Outcome(2, OTHER), Outcome(3, taker)], [])
    assert order_states(market)["m"] == OrderState("b1", "PETR4", "ask", 10, 100, open=False)
    assert symbol_views(market)["PETR4"].levels == {("ask", 12): [60, 1]}


ICEBERG = OrderEntered(
    "i", "b2", "1", "PETR4", "ask", "limit", 100, 100, 1, 10, display_quantity=30,
    displayed_quantity=30,
)  # fmt: skip


def test_book_shows_the_displayed_part_of_an_iceberg_order() -> None:
    fill = Fill("x", 1, 10, 40, "i", "b2", 60, 20)
    taker = structs.replace(entered((fill,), remaining=0), closed_reason="filled")
    market = Market([], [Outcome(1, ICEBERG), Outcome(2, taker)], [])
    assert symbol_views(structs.replace(market, outcomes=market.outcomes[:1]))["PETR4"].levels == {
        ("ask", 10): [30, 1]
    }
    assert symbol_views(market)["PETR4"].levels == {("ask", 10): [20, 1]}
    amended = OrderAmended("i", "b2", "r", "PETR4", "ask", 10, 50, 3, displayed_quantity=10)
    market = structs.replace(market, outcomes=[*market.outcomes, Outcome(3, amended)])
    assert symbol_views(market)["PETR4"].levels == {("ask", 10): [10, 1]}


def test_kinds_of_a_market_are_counted() -> None:
    fill = Fill("x", 1, 10, 40, "i", "b2", 60, 20)
    events: list[Event] = [
        INSTRUMENT,
        ICEBERG,
        entered((fill,), (Prevented("m", 100, 0),), 0),
        HALT,
        # It changed nothing.
        phase_set("halted", "halted"),
        REFUSED,
        phase_set("closed", "halted"),
        structs.replace(REFUSED, code="market_closed"),
        phase_set("continuous", "closed"),
        ALL_CANCELLED,
        OrdersCancelled("b1", "r1"),
    ]
    market = Market([], [Outcome(n, each) for n, each in enumerate(events)], [])
    assert kinds_of(market) == dict.fromkeys(KINDS, 1)
    assert kinds_of(Market([], [], [])) == dict.fromkeys(KINDS, 0)


@pytest.mark.parametrize(
    ("differences", "foreign", "fails"), [(0, 0, False), (2, 2, False), (3, 2, True), (1, 2, True)]
)
def test_audit_fails_on_more_or_less_than_the_records_of_a_foreign_writer(
    differences: int, foreign: int, fails: bool
) -> None:
    report = AuditReport()
    report["trades_topic"].fail("trades@1 is there twice", differences)
    assert (failed_invariants(report, {"trades_topic": foreign}) == {"trades_topic"}) == fails
    report["cash"].fail("1 cent is missing")
    assert "cash" in failed_invariants(report, {"trades_topic": foreign})
