"""The tally and the report, each against a small history with one thing wrong."""

import pytest
from msgspec import structs

from loadgen.client.record import Answer, RequestRecord
from schemas.commands import PlaceOrder
from schemas.executions import Fill, OrderAccepted, OrderCancelled, OrderRepeated, Outcome
from services.audit.client_log import ClientLine
from tests.chaos.notices import Notices
from tests.chaos.plan import Fault
from tests.chaos.reconciliation import (
    Account,
    Market,
    Reconciliation,
    Shop,
    Standing,
    accounts,
    answered_with_two,
    called_unknown,
    entered_though_refused,
    reconciliation,
    shops,
    standings,
)
from tests.chaos.report import Recovery, Report, Struck

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
    # Answered before it was told apart from a new order.
    ClientLine("acknowledged", "b2", "c2", "t2"),
]


def found(market: Market, lines: list[ClientLine] = LINES) -> tuple[int, int]:
    told = reconciliation(lines, ["m"], market)
    return len(told.lost), len(told.doubled)


def without(market: Market, index: int) -> Market:
    outcomes = [outcome for n, outcome in enumerate(market.outcomes) if n != index]
    return structs.replace(market, outcomes=outcomes)


def test_tally_of_a_good_history_finds_nothing() -> None:
    told = reconciliation(LINES, ["m"], GOOD)
    assert told == Reconciliation(acknowledged=3, cancelled=1, trades=1, lost=[], doubled=[])


def test_tally_of_what_is_missing_counts_it_as_lost() -> None:
    assert found(GOOD, [*LINES, ClientLine("acknowledged", "b1", "c9", "gone")]) == (1, 0)
    assert found(structs.replace(GOOD, trade_ids=[])) == (1, 0)
    # The repeated order has no outcome.
    assert found(without(GOOD, 2)) == (1, 0)
    # The cancel that was granted has no outcome.
    assert found(without(GOOD, 3)) == (1, 0)


def test_tally_of_what_is_there_twice_counts_it_as_doubled() -> None:
    assert found(structs.replace(GOOD, trade_ids=["x", "x"])) == (0, 1)
    assert found(structs.replace(GOOD, commands=[*GOOD.commands, GOOD.commands[0]])) == (0, 1)
    another = Outcome(5, structs.replace(MAKER, order_id="m2", closed_reason="expired"))
    assert found(structs.replace(GOOD, outcomes=[*GOOD.outcomes, another])) == (0, 1)


def attempt(status: int, client_order_id: str = "c", order_id: str = "") -> RequestRecord:
    return RequestRecord("order", 0, 0, 0, Answer(status, "", order_id), 0, client_order_id)


@pytest.mark.parametrize("first", [201, 202, 504, 0, 1, 500])
def test_order_repeated_after_it_may_have_entered_was_not_refused(first: int) -> None:
    assert entered_though_refused([attempt(503), attempt(first), attempt(200)]) == []


@pytest.mark.parametrize("first", [503, 429, 422])
def test_order_repeated_after_refusals_only_entered_though_it_was_refused(first: int) -> None:
    lines = [attempt(504, "other"), attempt(first), attempt(200)]
    assert len(entered_though_refused(lines)) == 1


def test_client_order_id_answered_with_another_order_is_noticed() -> None:
    # What was answered 202 may turn out to be a repetition of an earlier one.
    good = [attempt(201, "c", "o"), attempt(200, "c", "o"), attempt(202, "c", "o2")]
    assert answered_with_two(good) == []
    assert len(answered_with_two([*good, attempt(201, "c", "o3")])) == 1


def report() -> Report:
    return Report(
        seed=5,
        duration_s=10,
        recoveries=[Recovery((Fault("kill", "sink", 0),), 120)],
        answers={"order 201": 3},
        reconciliation=Reconciliation(3, 1, 1, [], []),
        contradictions=[],
        not_live=[],
        notices=Notices(2, 2, 1, []),
        ended={"matcher": [3, 5]},
        stops={"sink": [0], "kafka": [143], "usurped matcher": [4]},
        audit=["audit: all hold"],
        audit_holds=True,
    )


def test_report_of_a_good_run_holds() -> None:
    good = report()
    assert good.holds
    text = "\n".join(good.lines())
    assert "lost 0, doubled 0" in text
    assert "webhooks: 2 of 2 sides told, 1 repeats" in text
    assert "all holds (seed 5)" in text


def test_report_with_anything_wrong_does_not_hold() -> None:
    good = report()
    lost, doubled = Reconciliation(3, 1, 1, ["o"], []), Reconciliation(3, 1, 1, [], ["o"])
    never = [Recovery((Fault("kill", "sink", 0),), None)]
    wrong = [
        structs.replace(good, reconciliation=lost),
        structs.replace(good, reconciliation=doubled),
        structs.replace(good, recoveries=never),
        structs.replace(good, contradictions=["c1"]),
        structs.replace(good, not_live=["the sink is not ready"]),
        structs.replace(good, notices=Notices(2, 1, 0, ["b1 x-bid was never told"])),
        structs.replace(good, ended={"matcher": [6]}),
        structs.replace(good, stops={"sink": [-9]}),
        structs.replace(good, stops={"usurped matcher": [0]}),
        structs.replace(good, audit_holds=False),
    ]
    assert not any(each.holds for each in wrong)
    assert all("DOES NOT HOLD (seed 5)" in "\n".join(each.lines()) for each in wrong)


def test_report_tells_what_each_target_went_through() -> None:
    kill, cut = Fault("kill", "sink", 0), Fault("cut", "sink-kafka", 0)
    recoveries = [
        Recovery((kill,), 100, 300),
        Recovery((kill, cut), 700, 200),
        Recovery((kill,), 50, None),
        Recovery((cut,), 900, 100),
    ]
    by_time = structs.replace(report(), recoveries=recoveries)
    assert by_time.struck == {
        "sink": Struck({"kill": 3}, 100, 700, 0),
        "sink-kafka": Struck({"cut": 2}, 700, 900, 0),
    }
    assert by_time.holds
    one_by_one = structs.replace(by_time, one_by_one=True)
    assert one_by_one.struck["sink"] == Struck({"kill": 3}, 300, 700, 1)
    assert not one_by_one.holds
    assert "never 1  (kill 3)" in "\n".join(one_by_one.lines())


def test_standings_accounts_and_shops_follow_every_fill() -> None:
    before = without(GOOD, 3)
    assert standings(before) == {
        "m": Standing("b1", "PETR4", "ask", 10, 60, open=True),
        "t": Standing("b2", "PETR4", "bid", 11, 0, open=False),
    }
    assert not standings(GOOD)["m"].open
    assert accounts(GOOD) == {
        "b1": Account(400, {"PETR4": -40}),
        "b2": Account(-400, {"PETR4": 40}),
    }
    assert shops(before) == {"PETR4": Shop(2, 10, {("ask", 10): [60, 1]})}
    assert shops(GOOD) == {"PETR4": Shop(3, 10, {})}


@pytest.mark.parametrize(
    ("status", "order_id", "found"), [(404, "m", 1), (404, "t2", 0), (409, "m", 0), (204, "m", 0)]
)
def test_cancel_of_an_order_in_the_market_is_never_called_unknown(
    status: int, order_id: str, found: int
) -> None:
    line = RequestRecord("cancel", 0, 0, 1, Answer(status, "", order_id), 0, "")
    assert len(called_unknown([line], GOOD)) == found
