"""The audit's pure checks, each on a small history with one fault."""

import msgspec
import pytest
from msgspec import structs

from schemas.book import BookUpdate, Level
from schemas.commands import CancelOrder, PlaceOrder
from schemas.executions import (
    CommandRefused,
    Expired,
    Fill,
    OrderAccepted,
    OrderCancelled,
    OrderRepeated,
    Outcome,
    Ticked,
)
from schemas.ids import order_id
from schemas.trades import Trade
from services.audit.books import OutcomeBooks
from services.audit.client_log import ClientLine, ClientLog, ClientResult, read_client_log
from services.audit.instruments import InstrumentAudit
from services.audit.ledger import Ledger, Totals
from services.audit.partition import compare_engine
from services.audit.protections import Protections
from services.audit.public import PublicTopic, RebuiltBooks
from services.audit.report import AuditReport, Invariant, Name
from services.matcher.engine import Engine, EnginePosition
from services.replay.recompute import command_of

MAKER = OrderAccepted("m", "b1", "1", "PETR4", "ask", "limit", 100, 100, 1, 10, 5_000)
TAKER = OrderAccepted("t", "b2", "1", "PETR4", "bid", "limit", 40, 0, 2, 11, None, None, "filled")
FILL = Fill("x", 1, 10, 40, "m", "b1", 60)
TAKEN = structs.replace(TAKER, fills=(FILL,))
CANCELLED = OrderCancelled("m", "b1", "PETR4", 60, 3)
GOOD = [Outcome(1_000, MAKER), Outcome(2_000, TAKEN), Outcome(3_000, CANCELLED)]


def failing(*outcomes: Outcome) -> set[Name]:
    report, totals = AuditReport(), Totals()
    ledger = Ledger(0, totals, report)
    for offset, outcome in enumerate(outcomes):
        ledger.apply(outcome, offset)
    ledger.finish()
    totals.check(report)
    return {invariant.name for invariant in report.invariants() if invariant.differences}


def test_ledger_of_a_correct_history_reports_no_difference() -> None:
    quiet = [Outcome(4_000, Ticked()), Outcome(4_000, CommandRefused("malformed_command"))]
    assert failing(*GOOD, *quiet) == set()


def test_ledger_returns_closed_orders_and_trades_once() -> None:
    report = AuditReport()
    ledger = Ledger(0, Totals(), report)
    for offset, outcome in enumerate(GOOD):
        ledger.apply(outcome, offset)
    closed = ledger.take_closed()
    assert [(s.accepted.order_id, s.closed_reason, s.remaining) for s in closed] == [
        ("t", "filled", 0),
        ("m", "cancelled", 60),
    ]
    assert closed[1].filled_value == 400
    assert closed[1].updated_at == 3_000
    assert [trade.fill for trade in ledger.take_trades()] == [FILL]
    assert ledger.take_closed() == []
    assert ledger.take_trades() == []


def test_ledger_closes_a_fully_filled_maker() -> None:
    all_of_it = structs.replace(FILL, quantity=100, maker_remaining_quantity=0)
    taken = structs.replace(TAKER, quantity=100, fills=(all_of_it,))
    assert failing(GOOD[0], Outcome(2_000, taken)) == set()


def test_ledger_remaining_quantity_that_does_not_add_up_is_reported() -> None:
    wrong = structs.replace(TAKEN, remaining_quantity=10, closed_reason="cancelled")
    assert failing(GOOD[0], Outcome(2_000, wrong)) == {"quantities", "bought_sold"}


def test_ledger_fill_with_the_wrong_maker_broker_is_reported() -> None:
    wrong = structs.replace(TAKEN, fills=(structs.replace(FILL, maker_broker_id="b3"),))
    assert failing(GOOD[0], Outcome(2_000, wrong)) == {"quantities"}


def test_ledger_filled_order_with_a_remainder_is_reported() -> None:
    wrong = structs.replace(MAKER, closed_reason="filled")
    assert failing(Outcome(1_000, wrong)) == {"quantities"}


def test_ledger_cancel_with_a_wrong_remainder_is_reported() -> None:
    wrong = structs.replace(CANCELLED, remaining_quantity=50)
    found = failing(GOOD[0], GOOD[1], Outcome(3_000, wrong))
    assert "quantities" in found


def test_ledger_event_after_the_final_state_is_reported() -> None:
    assert failing(*GOOD, GOOD[2]) == {"final_state"}


def test_ledger_order_accepted_twice_while_open_is_reported() -> None:
    assert "final_state" in failing(GOOD[0], GOOD[0])


def test_ledger_trade_with_an_order_not_open_is_reported() -> None:
    found = failing(GOOD[1])
    assert found == {"final_state", "bought_sold", "cash"}


def test_ledger_trade_between_two_buyers_does_not_balance() -> None:
    buyer = structs.replace(MAKER, side="bid")
    assert failing(Outcome(1_000, buyer), GOOD[1]) == {"bought_sold", "cash"}


def test_ledger_fill_of_an_expired_maker_is_reported() -> None:
    assert failing(GOOD[0], Outcome(5_000, TAKEN)) == {"validity"}
    assert failing(GOOD[0], Outcome(4_999, TAKEN)) == set()


def test_ledger_fill_of_an_expired_taker_is_reported() -> None:
    late = structs.replace(TAKEN, valid_until=2_000)
    assert failing(GOOD[0], Outcome(2_000, late)) == {"validity"}


def test_ledger_order_expired_on_arrival_that_rests_is_reported() -> None:
    dead = structs.replace(MAKER, valid_until=1_000)
    assert failing(Outcome(1_000, dead)) == {"validity"}
    assert failing(Outcome(1_000, structs.replace(dead, closed_reason="expired"))) == set()


def test_ledger_order_valid_on_arrival_closed_as_expired_is_reported() -> None:
    assert failing(Outcome(4_999, structs.replace(MAKER, closed_reason="expired"))) == {"validity"}
    endless = structs.replace(MAKER, closed_reason="expired", valid_until=None)
    assert failing(Outcome(1_000, endless)) == {"validity"}


def test_ledger_expiry_before_valid_until_is_reported() -> None:
    expired = (Expired("m", "b1", "PETR4", 100, 2),)
    assert failing(GOOD[0], Outcome(5_000, Ticked(), expired)) == set()
    assert failing(GOOD[0], Outcome(4_999, Ticked(), expired)) == {"validity"}
    assert failing(Outcome(4_999, Ticked(), expired)) == {"final_state"}


def test_ledger_symbol_or_id_on_another_partition_is_reported() -> None:
    report, all_, sums = AuditReport(), Totals(), (Totals(), Totals())
    here, there = Ledger(0, sums[0], report), Ledger(1, sums[1], report)
    here.apply(Outcome(1_000, MAKER), 0)
    there.apply(Outcome(1_000, structs.replace(MAKER, order_id=order_id(1, 0, 7))), 0)
    there.apply(Outcome(1_000, structs.replace(MAKER, order_id="other")), 1)
    for number in range(2):
        all_.add(number, sums[number], report)
    assert (report["partition"].checked, report["partition"].differences) == (3, 3)
    assert report["partition"].samples == [
        f"order {order_id(1, 0, 7)} is on partition 1",
        "PETR4 trades on 0 and on 1",
    ]


def trade(sequence: int, price: int = 10) -> Trade:
    return Trade("PETR4", sequence, f"id{sequence}", 1, price, 5, "bid", sequence, 0)


def public(*found: Trade, partial: bool = False) -> Invariant:
    invariant = AuditReport()["trades_topic"]
    topic = PublicTopic("trades", invariant, partial=partial)
    for sequence in (1, 2, 3):
        topic.expect(trade(sequence))
    for offset, item in enumerate(found):
        topic.found(item, offset)
    topic.finish()
    return invariant


def test_public_topic_with_correct_records_has_no_difference() -> None:
    assert public(trade(1), trade(2), trade(3)).differences == 0


def test_public_topic_repeated_record_is_reported() -> None:
    assert public(trade(1), trade(2), trade(2), trade(3)).samples == [
        "trades@2: PETR4 #2 is there twice"
    ]


def test_public_topic_missing_record_is_reported() -> None:
    assert public(trade(1), trade(3)).samples == ["trades: PETR4 #2 is missing"]


def test_public_topic_altered_record_is_reported() -> None:
    assert "expected" in public(trade(1), trade(2, price=11), trade(3)).samples[0]


def test_public_topic_invented_record_is_reported() -> None:
    assert public(trade(1), trade(2), trade(3), trade(4)).samples == [
        "trades@3: PETR4 #4 never happened"
    ]


def test_public_topic_unreadable_record_is_reported() -> None:
    invariant = AuditReport()["trades_topic"]
    PublicTopic("trades", invariant, partial=False).unreadable(7, "no JSON")
    assert invariant.samples == ["trades@7: no JSON"]


def test_public_topic_trimmed_by_retention_is_checked_from_its_first_record() -> None:
    assert public(trade(2), trade(3), partial=True).differences == 0
    assert public(trade(2), partial=True).differences == 1


def test_book_updates_replace_remove_and_clear_levels() -> None:
    books = RebuiltBooks()
    books.apply(BookUpdate("A", 1, 1, 1, 0, bids=(Level(9, 5, 1), Level(8, 5, 1))))
    books.apply(BookUpdate("A", 2, 1, 2, 0, bids=(Level(9, 0, 0),), asks=(Level(11, 1, 1),)))
    assert books.levels("A", "bid") == [Level(8, 5, 1)]
    assert books.symbols() == {"A"}
    books.apply(BookUpdate("A", 3, 1, 3, 0, bids=(Level(7, 1, 1),), whole=True))
    assert books.levels("A", "bid") == [Level(7, 1, 1)]
    assert books.levels("A", "ask") == []


def place(number: int, client_order_id: str | None = None) -> PlaceOrder:
    return PlaceOrder(
        f"o{number}", "b1", "1", "A", "bid", "limit", 1, 10, client_order_id=client_order_id
    )


def test_client_log_is_compared_with_the_command_log() -> None:
    lines = [
        ClientLine("acknowledged", "b1", "c1", "o1"),
        ClientLine("acknowledged", "b1", "c2", "o2"),
        ClientLine("refused", "b1", "c3"),
        ClientLine("refused", "b1", "c4"),
        ClientLine("unknown", "b1", "c5"),
        ClientLine("unknown", "b1", "c6"),
        ClientLine("refused", "b1", "c6"),
    ]
    client_log, report = ClientLog(lines), AuditReport()
    commands = [place(1, "c1"), place(3, "c3"), place(5, "c5"), place(6, "c5"), place(7)]
    for command in (*commands, CancelOrder("o1", "b1"), None):
        client_log.command(command, None)
    client_log.check(report)
    assert report["acknowledged"].samples == [
        "order o2 is in the log 0 times",
        "c5 of broker b1 is in the log 2 times",
    ]
    assert report["refused"].samples == ["c3 of broker b1 is in the log 1 times"]
    assert (report["acknowledged"].checked, report["refused"].checked) == (4, 3)


@pytest.mark.parametrize(
    ("answers", "in_log"),
    [
        (["refused", "unknown"], True),
        (["refused", "unknown", "refused", "acknowledged"], True),
        (["acknowledged", "refused"], True),
        (["unknown", "refused"], False),
        (["refused", "unknown", "refused"], False),
        (["refused"], False),
    ],
)
def test_client_log_refusal_after_an_unknown_answer_is_final(
    answers: list[ClientResult], in_log: bool
) -> None:
    lines = [
        ClientLine(each, "b1", "c1", "o1" if each == "acknowledged" else "") for each in answers
    ]
    client_log, report = ClientLog(lines), AuditReport()
    client_log.command(place(1, "c1"), None)
    client_log.check(report)
    assert report["refused"].samples == (
        [] if in_log else ["c1 of broker b1 is in the log 1 times"]
    )
    assert report["acknowledged"].samples == []


def test_client_log_order_stored_under_another_id_is_reported() -> None:
    lines = [
        ClientLine("acknowledged", "b1", "c1", "o1"),
        ClientLine("acknowledged", "b2", "c2", "o2"),
    ]
    client_log, report = ClientLog(lines), AuditReport()
    client_log.command(place(1), None)
    client_log.command(place(2, "c2"), None)
    client_log.check(report)
    assert report["acknowledged"].samples == [
        "order o1 of ('b1', 'c1') is ('b1', '') in the log",
        "order o2 of ('b2', 'c2') is ('b1', 'c2') in the log",
    ]


def test_client_log_retry_repeated_or_refused_by_the_engine_is_not_a_duplicate() -> None:
    client_log, report = ClientLog([ClientLine("unknown", "b1", "c1")]), AuditReport()
    client_log.command(place(1, "c1"), None)
    client_log.command(place(2, "c1"), Outcome(1_000, OrderRepeated("o2", "b1", "o1")))
    client_log.command(place(4, "c1"), Outcome(1_000, CommandRefused("stale_order_id", "o4", "b1")))
    client_log.check(report)
    assert report.holds
    client_log.command(place(3, "c1"), Outcome(1_000, MAKER))
    client_log.check(report)
    assert report["acknowledged"].samples == ["c1 of broker b1 is in the log 2 times"]


def test_client_log_record_repeated_by_a_foreign_program_is_not_a_duplicate() -> None:
    lines = [ClientLine("acknowledged", "b1", "c1", "o1")]
    client_log, report = ClientLog(lines), AuditReport()
    client_log.command(place(1, "c1"), Outcome(1_000, MAKER))
    for code in ("duplicate_order_id", "stale_order_id"):
        client_log.command(place(1, "c1"), Outcome(2_000, CommandRefused(code, "o1", "b1")))
    client_log.check(report)
    assert report.holds
    client_log.command(place(1, "c1"), Outcome(3_000, MAKER))
    client_log.check(report)
    assert report["acknowledged"].samples == ["order o1 is in the log 2 times"]


def test_client_log_file_is_read_line_by_line() -> None:
    text = b'{"told":"refused","broker_id":"b","client_order_id":"c"}\n\n'
    line = ClientLine("refused", "b", "c")
    assert read_client_log(text.splitlines()) == [line]
    assert msgspec.json.encode(line) == text.strip()


def test_engine_with_another_book_is_reported() -> None:
    report = AuditReport()
    protections = Protections({}, InstrumentAudit(0, report))
    engine, books = Engine(0), OutcomeBooks(0, report, protections)
    outcome = engine.apply(place(1), EnginePosition(0, 0, 1_000))
    compare_engine(engine, books, report)
    assert report["recomputed"].samples == ["A bid: the engine has another book"]
    books.apply(outcome, 0)
    compare_engine(engine, books, report)
    assert report["recomputed"].differences == 1


def test_command_of_unreadable_bytes_is_none() -> None:
    assert command_of(b"{") is None


def test_report_shows_the_first_differences_and_counts_all() -> None:
    report = AuditReport()
    report.leave_out("refused")
    report["cash"].note = "by hand"
    assert list(report.lines())[-1] == "audit: all hold"
    for number in range(9):
        report["cash"].fail(f"difference {number}")
    text = "\n".join(report.lines())
    assert not report.holds
    assert "FAIL cash of all brokers" in text
    assert "9 wrong (by hand)" in text
    assert "difference 4" in text
    assert "difference 5" not in text
    assert "refused orders" not in text
    assert text.endswith("audit: 1 invariants do not hold")
