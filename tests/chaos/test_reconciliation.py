"""Reconciliation and report of small histories, correct and with one thing wrong."""

import pytest
from msgspec import structs

from loadgen.client.record import RequestRecord, RequestResult
from schemas.commands import PlaceOrder
from schemas.executions import (
    CommandRefused,
    Fill,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    OrderRepeated,
    Outcome,
    RefusalCode,
    StopElected,
)
from schemas.units import Side
from services.audit.client_log import ClientLine
from tests.chaos.plan import Fault
from tests.chaos.reconciliation import (
    Account,
    ClockErrors,
    Market,
    OrderState,
    Reconciliation,
    SymbolView,
    accepted_after_refusals,
    accounts,
    answered_with_two_orders,
    order_states,
    reconciliation,
    refused_wrongly,
    symbol_views,
    wrongly_not_found,
    wrongly_replaced,
)
from tests.chaos.report import Recovery, Report, TargetStatistics
from tests.chaos.webhook_check import WebhookCheck

FILL = Fill("x", 1, 10, 40, "m", "b1", 60)
MAKER = OrderAccepted(
    "m", "b1", "1", "PETR4", "ask", "limit", 100, 100, 1, 10, client_order_id="c1"
)
TAKER = OrderAccepted(
    "t",
    "b2",
    "1",
    "PETR4",
    "bid",
    "limit",
    40,
    0,
    2,
    11,
    client_order_id="c2",
    closed_reason="filled",
    fills=(FILL,),
)
AGAIN = OrderRepeated("t2", "b2", "t")
CANCELLED = OrderCancelled("m", "b1", "PETR4", 60, 3)
GOOD = Market(
    [
        PlaceOrder("m", "b1", "1", "PETR4", "ask", "limit", 100, 10, None, "c1"),
        PlaceOrder("t", "b2", "1", "PETR4", "bid", "limit", 40, 11, None, "c2"),
        PlaceOrder("t2", "b2", "1", "PETR4", "bid", "limit", 40, 11, None, "c2"),
        None,
    ],
    [Outcome(1, MAKER), Outcome(2, TAKER), Outcome(3, AGAIN), Outcome(4, CANCELLED)],
    ["x"],
)
LINES = [
    ClientLine("acknowledged", "b1", "c1", "m"),
    ClientLine("unknown", "b2", "c2"),
    ClientLine("acknowledged", "b2", "c2", "t"),
    # Acknowledged with 202, before the engine recognised the repeat.
    ClientLine("acknowledged", "b2", "c2", "t2"),
]


def found(market: Market, lines: list[ClientLine] = LINES) -> tuple[int, int]:
    result = reconciliation(lines, ["m"], market)
    return len(result.lost), len(result.duplicated)


def without(market: Market, index: int) -> Market:
    outcomes = [outcome for n, outcome in enumerate(market.outcomes) if n != index]
    return structs.replace(market, outcomes=outcomes)


def test_reconciliation_of_a_correct_history_has_no_differences() -> None:
    result = reconciliation(LINES, ["m"], GOOD)
    assert result == Reconciliation(acknowledged=3, cancelled=1, trades=1, lost=[], duplicated=[])


def test_reconciliation_of_missing_records_counts_them_as_lost() -> None:
    assert found(GOOD, [*LINES, ClientLine("acknowledged", "b1", "c9", "gone")]) == (1, 0)
    assert found(structs.replace(GOOD, trade_ids=[])) == (1, 0)
    # The repeated order has no outcome.
    assert found(without(GOOD, 2)) == (1, 0)
    # The cancel that was granted has no outcome.
    assert found(without(GOOD, 3)) == (1, 0)


def test_reconciliation_of_an_order_refused_after_202_is_lost_unless_the_load_explains_it() -> None:
    lines = [*LINES, ClientLine("acknowledged", "b1", "c9", "s")]
    place = PlaceOrder("s", "b1", "1", "PETR4", "ask", "limit", 100, 10, None, "c9")
    codes: list[tuple[RefusalCode, int]] = [
        ("stale_order_id", 0),
        ("post_only_would_trade", 0),
        ("stop_would_trigger", 0),
        ("too_many_open_orders", 1),
    ]
    for code, lost in codes:
        refused = Outcome(5, CommandRefused(code, "s", "b1"))
        market = Market([*GOOD.commands, place], [*GOOD.outcomes, refused], GOOD.trade_ids)
        assert found(market, lines) == (lost, 0)


def test_reconciliation_of_repeated_records_counts_them_as_duplicated() -> None:
    assert found(structs.replace(GOOD, trade_ids=["x", "x"])) == (0, 1)
    assert found(structs.replace(GOOD, commands=[*GOOD.commands, GOOD.commands[0]])) == (0, 1)
    another = Outcome(5, structs.replace(MAKER, order_id="m2", closed_reason="expired"))
    assert found(structs.replace(GOOD, outcomes=[*GOOD.outcomes, another])) == (0, 1)


def test_reconciliation_of_a_record_that_the_engine_refused_as_repeated_is_correct() -> None:
    refused = Outcome(5, CommandRefused("duplicate_order_id", "m", "b1"))
    commands, outcomes = [*GOOD.commands, GOOD.commands[0]], [*GOOD.outcomes, refused]
    assert found(Market(commands, outcomes, GOOD.trade_ids)) == (0, 0)


def attempt(status: int, client_order_id: str = "c", order_id: str = "") -> RequestRecord:
    return RequestRecord("order", 0, 0, 0, RequestResult(status, "", order_id), 0, client_order_id)


@pytest.mark.parametrize("first", [201, 202, 504, 0, 1, 500])
def test_repeat_after_an_attempt_that_may_have_entered_is_accepted(first: int) -> None:
    assert accepted_after_refusals([attempt(503), attempt(first), attempt(200)]) == []


@pytest.mark.parametrize("first", [503, 429, 422])
def test_repeat_after_refusals_only_is_a_contradiction(first: int) -> None:
    lines = [attempt(504, "other"), attempt(first), attempt(200)]
    assert len(accepted_after_refusals(lines)) == 1


def test_client_order_id_answered_with_two_orders_is_a_contradiction() -> None:
    # An order that was answered 202 may turn out to be a repeat of an earlier one.
    good = [attempt(201, "c", "o"), attempt(200, "c", "o"), attempt(202, "c", "o2")]
    assert answered_with_two_orders(good) == []
    assert len(answered_with_two_orders([*good, attempt(201, "c", "o3")])) == 1


@pytest.mark.parametrize(
    ("status", "name", "sent_us", "done_us", "is_wrong"),
    [
        (422, "brief", 90, 110, True),
        (422, "brief", 90, 200, False),
        (422, "brief", 250, 260, False),
        (422, "brief", 300, 310, False),
        (422, "brief", 301, 310, True),
        (422, "lasting", 250, 260, True),
        (400, "brief", 250, 260, True),
        (409, "brief", 250, 260, True),
        (429, "lasting", 90, 110, False),
        (503, "lasting", 90, 110, False),
        (201, "lasting", 90, 110, False),
    ],
)
def test_refusal_is_wrong_except_of_an_expired_order_by_a_wrong_clock(
    status: int, name: str, sent_us: int, done_us: int, is_wrong: bool
) -> None:
    line = RequestRecord("order", 0, sent_us, done_us, RequestResult(status), 2, name)
    clock_errors = ClockErrors([(200, 300)], {(2, "brief"), (1, "lasting")})
    assert bool(refused_wrongly([line], clock_errors)) == is_wrong


def report() -> Report:
    return Report(
        seed=5,
        command="python -m tests.chaos --seed 5",
        duration_s=10,
        recoveries=[Recovery((Fault("kill", "sink", 0),), 120)],
        answers={"order 201": 3},
        reconciliation=Reconciliation(3, 1, 1, [], []),
        contradictions=[],
        not_live=[],
        webhooks=WebhookCheck(2, 2, 1, []),
        unexpected_exits={"matcher": [3, 5]},
        stop_exits={"sink": [0], "kafka": [143], "superseded matcher": [4], "starting sink": [-15]},
        audit=["audit: all hold"],
        audit_holds=True,
        kinds={"halts": 2},
    )


def test_report_of_a_correct_run_has_passed() -> None:
    good = report()
    assert good.passed
    text = "\n".join(good.lines())
    assert "lost 0, duplicated 0" in text
    assert "webhooks: 2 of 2 received, 1 repeats" in text
    assert "chaos: passed (seed 5)" in text
    assert "repeat it with" not in text


def test_report_with_any_failure_has_failed() -> None:
    good = report()
    lost, duplicated = Reconciliation(3, 1, 1, ["o"], []), Reconciliation(3, 1, 1, [], ["o"])
    never = [Recovery((Fault("kill", "sink", 0),), None)]
    failed = [
        structs.replace(good, reconciliation=lost),
        structs.replace(good, reconciliation=duplicated),
        structs.replace(good, recoveries=never),
        structs.replace(good, contradictions=["c1"]),
        structs.replace(good, not_live=["the sink is not ready"]),
        structs.replace(good, webhooks=WebhookCheck(2, 1, 0, ["b1 x-bid was not received"])),
        structs.replace(good, unexpected_exits={"matcher": [6]}),
        structs.replace(good, stop_exits={"sink": [-9]}),
        structs.replace(good, stop_exits={"superseded matcher": [0]}),
        structs.replace(good, stop_exits={"matcher": [-15]}),
        structs.replace(good, stop_exits={"starting matcher": [-9]}),
        structs.replace(good, audit_holds=False),
        structs.replace(good, kinds={"halts": 2, "closes": 0}),
    ]
    assert not any(each.passed for each in failed)
    for each in failed:
        *_, result, command = each.lines()
        assert result == "chaos: FAILED (seed 5)"
        assert command == "repeat it with: python -m tests.chaos --seed 5"


def test_report_by_target_counts_faults_and_recoveries() -> None:
    kill, cut = Fault("kill", "sink", 0), Fault("cut", "sink-kafka", 0)
    recoveries = [
        Recovery((kill,), 100, 300),
        Recovery((kill, cut), 700, 200),
        Recovery((kill,), 50, None),
        Recovery((cut,), 900, 100),
    ]
    by_time = structs.replace(report(), recoveries=recoveries)
    assert by_time.by_target == {
        "sink": TargetStatistics({"kill": 3}, 100, 700, 0),
        "sink-kafka": TargetStatistics({"cut": 2}, 700, 900, 0),
    }
    assert by_time.passed
    one_by_one = structs.replace(by_time, one_by_one=True)
    assert one_by_one.by_target["sink"] == TargetStatistics({"kill": 3}, 300, 700, 1)
    assert not one_by_one.passed
    assert "never 1  (kill 3)" in "\n".join(one_by_one.lines())


def test_order_states_accounts_and_symbol_views_include_every_fill() -> None:
    before = without(GOOD, 3)
    assert order_states(before) == {
        "m": OrderState("b1", "PETR4", "ask", 10, 60, open=True),
        "t": OrderState("b2", "PETR4", "bid", 11, 0, open=False),
    }
    assert not order_states(GOOD)["m"].open
    assert accounts(GOOD) == {
        "b1": Account(400, {"PETR4": -40}),
        "b2": Account(-400, {"PETR4": 40}),
    }
    assert symbol_views(before) == {"PETR4": SymbolView(2, 10, {("ask", 10): [60, 1]})}
    assert symbol_views(GOOD) == {"PETR4": SymbolView(3, 10, {})}


Levels = dict[tuple[Side, int], list[int]]
# A stop order waits for a trade; the taker is replaced, arrives anew and trades with the maker.
STOP = OrderEntered(
    "s", "b3", "1", "PETR4", "bid", "limit", 60, 60, 1, 10, client_order_id="c3", stop_price=10
)
RESTING = structs.replace(
    TAKER, price=9, remaining_quantity=40, closed_reason=None, fills=(), book_sequence=2
)
AMENDED = OrderAmended(
    "t", "b2", "r1", "PETR4", "bid", 11, 0, 3, 40, closed_reason="filled", fills=(FILL,)
)
ELECTED = StopElected(
    "s",
    "b3",
    "PETR4",
    "bid",
    10,
    10,
    5,
    10,
    fills=(Fill("y", 2, 10, 50, "m", "b1", 10),),
)
CHANGED = Market(
    [],
    [
        Outcome(1, MAKER),
        Outcome(2, STOP),
        Outcome(3, RESTING),
        Outcome(4, AMENDED, after=(ELECTED,)),
    ],
    ["x", "y"],
)


def test_order_states_accounts_and_symbol_views_include_replaced_and_elected_orders() -> None:
    waiting = structs.replace(CHANGED, outcomes=CHANGED.outcomes[:3])
    assert order_states(waiting)["s"].parked
    moved = OrderAmended("s", "b3", "r2", "PETR4", "bid", 12, 60, 2, stop_price=11)
    replaced = structs.replace(waiting, outcomes=[*waiting.outcomes, Outcome(4, moved)])
    assert order_states(replaced)["s"] == OrderState("b3", "PETR4", "bid", 12, 60, True, True)
    levels: Levels = {("ask", 10): [100, 1], ("bid", 9): [40, 1]}
    assert symbol_views(waiting) == {"PETR4": SymbolView(2, None, levels)}
    assert order_states(CHANGED) == {
        "m": OrderState("b1", "PETR4", "ask", 10, 10, open=True),
        "s": OrderState("b3", "PETR4", "bid", 10, 10, open=True),
        "t": OrderState("b2", "PETR4", "bid", 11, 0, open=False),
    }
    assert accounts(CHANGED) == {
        "b1": Account(900, {"PETR4": -90}),
        "b2": Account(-400, {"PETR4": 40}),
        "b3": Account(-500, {"PETR4": 50}),
    }
    levels = {("ask", 10): [10, 1], ("bid", 10): [10, 1]}
    assert symbol_views(CHANGED) == {"PETR4": SymbolView(5, 10, levels)}
    assert reconciliation([], [], CHANGED).trades == 2


@pytest.mark.parametrize(
    ("order_id", "statuses", "is_right"),
    [
        ("t", [200], True),
        ("t", [0, 200], True),
        ("t", [504], True),
        ("t", [503, 409, 200], True),
        ("t", [200, 200], False),
        ("t", [503], False),
        ("t", [504, 404], False),
        ("m", [0], True),
        ("m", [409], True),
        ("m", [200], False),
        ("m", [404], False),
        ("gone", [404], True),
    ],
)
def test_replacements_are_in_the_market_as_often_as_they_were_granted(
    order_id: str, statuses: list[int], is_right: bool
) -> None:
    answers = [RequestResult(status, "", order_id) for status in statuses]
    if order_id != "t":
        answers.append(RequestResult(200, "", "t"))
    # The record of the request, repeated by a foreign writer.
    market = structs.replace(CHANGED, outcomes=[*CHANGED.outcomes, Outcome(5, AMENDED)])
    assert (wrongly_replaced(answers, market) == []) == is_right


@pytest.mark.parametrize(("status", "is_right"), [(409, True), (0, True), (200, False)])
def test_refused_replacement_may_be_made_when_its_record_is_repeated(
    status: int, is_right: bool
) -> None:
    refused = CommandRefused("post_only_would_trade", "t", "b2", request="r1")
    market = structs.replace(CHANGED, outcomes=[Outcome(1, refused), *CHANGED.outcomes])
    answers = [RequestResult(status, "", "t")]
    assert (wrongly_replaced(answers, market) == []) == is_right


@pytest.mark.parametrize(
    ("status", "order_id", "found"), [(404, "m", 1), (404, "t2", 0), (409, "m", 0), (204, "m", 0)]
)
def test_cancel_answered_404_of_an_order_in_the_market_is_a_contradiction(
    status: int, order_id: str, found: int
) -> None:
    line = RequestRecord("cancel", 0, 0, 1, RequestResult(status, "", order_id), 0, "")
    assert len(wrongly_not_found([line], GOOD)) == found
