"""Database rows for outcomes written by hand."""

from typing import Any

from msgspec.structs import replace

from schemas.executions import (
    CancelledOrder,
    InstrumentSet,
    OrderAmended,
    OrderRepeated,
    OrdersCancelled,
    PhaseSet,
    Ticked,
)
from schemas.instruments import InstrumentRules
from schemas.units import rfc3339
from services.runtime.kafka.execution_filter import Batch
from services.sink.copy_format import array, change_line, order_line, trade_line
from services.sink.instrument_rows import instrument_changes
from services.sink.rows import Rows
from tests.support.reader_outcomes import (
    ALICE,
    BOB,
    CAROL,
    T0,
    batch,
    cancelled,
    expired,
    fill,
    limit,
    oid,
    refused,
    sweep,
)


def rows_of(*batches: Batch) -> Rows:
    rows = Rows()
    for each in batches:
        rows.add(each)
    return rows


def test_rows_of_one_run_are_new_orders_in_their_final_state() -> None:
    rows = rows_of(sweep())
    assert rows.changed == {}
    assert [
        (
            new.record.remaining_quantity,
            new.record.filled_value,
            new.record.closed_reason,
            new.command_offset,
        )
        for new in rows.new.values()
    ] == [
        (0, 100_000, "filled", 0),
        (100, 101_000, None, 1),
        (0, 201_000, "filled", 2),
        (50, 0, "cancelled", 3),
        (70, 0, "expired", 5),
        (10, 0, None, 7),
    ]
    assert [(trade.command_offset, trade.index) for trade in rows.trades] == [(2, 0), (2, 1)]
    assert (rows.outcomes, rows.newest_time) == (8, T0 + 7000)


def test_maker_of_an_earlier_run_filled_twice_is_one_change() -> None:
    first = limit(
        8,
        BOB,
        "bid",
        10,
        None,
        left=0,
        closed="filled",
        fills=(fill(1, 1, ALICE, 1000, 10, 40),),
    )
    second = limit(
        9,
        CAROL,
        "bid",
        40,
        None,
        left=0,
        closed="filled",
        fills=(fill(2, 1, ALICE, 1000, 40, 0),),
    )
    rows = rows_of(batch(first, first=5), batch(second, first=6))
    (change,) = rows.changed.values()
    assert list(rows.changed) == [oid(1)]
    assert (change.remaining_quantity, change.filled_value) == (0, 50_000)
    assert change.trades_count == 2
    assert (change.closed_reason, change.updated_at) == ("filled", T0 + 6000)


def test_maker_partly_filled_then_cancelled_has_both_effects() -> None:
    taker = limit(
        8, BOB, "bid", 10, None, left=0, closed="filled", fills=(fill(1, 1, ALICE, 7, 10, 40),)
    )
    rows = rows_of(batch(taker, cancelled(1, ALICE, 40, 3), first=5))
    (change,) = rows.changed.values()
    assert (change.remaining_quantity, change.filled_value) == (40, 70)
    assert change.closed_reason == "cancelled"


def test_expiry_of_an_earlier_order_is_a_change() -> None:
    rows = rows_of(batch((Ticked(), (expired(1, ALICE, 30, 9),)), first=5))
    (change,) = rows.changed.values()
    assert (change.remaining_quantity, change.filled_value, change.trades_count) == (30, 0, 0)
    assert (change.closed_reason, change.updated_at) == ("expired", T0 + 5000)


def test_events_without_effect_give_no_rows_but_count() -> None:
    rows = rows_of(batch(refused(), Ticked(), OrderRepeated(oid(3), ALICE, oid(1))))
    assert (rows.new, rows.changed, rows.trades) == ({}, {}, [])
    assert rows.outcomes == 3


def test_instrument_is_stored_as_set_last_with_its_symbol() -> None:
    first = InstrumentSet("PETR4", "0" * 16, InstrumentRules(), 50, "continuous", 0, 0)
    second = replace(first, rules=InstrumentRules(tick_size=5), reference_price=60)
    rows = rows_of(batch(first, second, partition=3))
    assert rows.instruments == {(3, "PETR4"): second}
    assert rows.book_sequences == {(3, "PETR4"): 0}


def test_phase_is_stored_unless_the_instrument_behind_it_has_it() -> None:
    first = InstrumentSet("PETR4", "0" * 16, InstrumentRules(), 50, "continuous", 0, 0)
    halted = PhaseSet("PETR4", "1" * 16, "continuous", "halted", 7)
    rows = rows_of(batch(first, halted, partition=3))
    assert (rows.instruments, rows.phases) == ({(3, "PETR4"): first}, {(3, "PETR4"): "halted"})
    assert rows.book_sequences == {(3, "PETR4"): 7}
    statements = [(text.split()[0], values[:3]) for text, values in instrument_changes(rows)]
    assert statements == [
        ("INSERT", [3, "PETR4", "continuous"]),
        ("UPDATE", ["halted", 3, "PETR4"]),
    ]
    later = replace(first, phase="halted", book_sequence=7)
    rows = rows_of(batch(halted, later, partition=3))
    assert (rows.instruments, rows.phases) == ({(3, "PETR4"): later}, {})


def test_order_line_escapes_backslashes_and_marks_absent_values() -> None:
    rows = rows_of(
        batch(
            limit(1, ALICE, "bid", 5, 10, valid_until=T0 + 1),
            limit(2, BOB, "ask", 5, None, closed="no_liquidity"),
            partition=3,
        )
    )
    first, second = (order_line(new).split("\t") for new in rows.new.values())
    assert first[2:4] == [r"doc\\1", "c-1"]
    assert first[7:13] == ["10", "5", "5", "0", rfc3339(T0 + 1), r"\N"]
    assert first[15:] == ["3", "0", r"\N", "f", *[r"\N"] * 6, "0\n"]
    assert second[3] == r"\N"
    assert second[7:13] == [r"\N", "5", "5", "0", r"\N", "no_liquidity"]


def test_trade_line_has_buyer_and_seller_by_the_side_of_the_taker() -> None:
    buying = rows_of(sweep()).trades[0]
    assert trade_line(buying).split("\t")[1:5] == [oid(3), oid(1), CAROL, ALICE]
    taker = limit(
        2, BOB, "ask", 5, None, left=0, closed="filled", fills=(fill(1, 1, ALICE, 10, 5, 0),)
    )
    selling = rows_of(batch(limit(1, ALICE, "bid", 5, 10), taker)).trades[0]
    line = trade_line(selling).split("\t")
    assert line[1:5] == [oid(1), oid(2), ALICE, BOB]
    assert line[5:] == ["PETR4", "10", "5", "ask", "1", rfc3339(T0 + 1000), "0", "1", "0\n"]


def test_change_line_of_an_open_order_has_no_reason() -> None:
    taker = limit(
        8, BOB, "bid", 10, None, left=0, closed="filled", fills=(fill(1, 1, ALICE, 7, 10, 40),)
    )
    ((order_id, change),) = rows_of(batch(taker, first=5)).changed.items()
    assert change_line(order_id, change) == (
        f"{oid(1)}\t40\t70\t1\t\\N\t{rfc3339(T0 + 5000)}\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n"
    )


def amended(number: int, left: int, book: int, **more: Any) -> OrderAmended:
    event = OrderAmended(oid(number), ALICE, "0123456789abcdef", "PETR4", "bid", 9, left, book)
    return replace(event, **more)


def test_amendment_of_an_earlier_order_changes_its_values_and_adds_its_trades() -> None:
    took = (fill(1, 2, BOB, 8, 3, 0),)
    event = amended(1, 2, 4, quantity=6, former_price=7, fills=took)
    rows = rows_of(batch(event, amended(1, 2, 4, valid_until=T0), first=5))
    change = rows.changed[oid(1)]
    assert (change.price, change.quantity, change.valid_until) == (9, 6, T0)
    assert (change.remaining_quantity, change.filled_value, change.closed_reason) == (2, 24, None)
    assert change_line(oid(1), change) == (
        f"{oid(1)}\t2\t24\t1\t\\N\t{rfc3339(T0 + 6000)}\t9\t6\t{rfc3339(T0)}\t\\N\t\\N\t\\N\t\\N\n"
    )
    assert [(trade.taker_remaining, trade.command_offset) for trade in rows.trades] == [(2, 5)]
    assert rows.book_sequences == {(0, "PETR4"): 4}


def test_amendment_of_an_order_of_the_same_run_is_one_new_row() -> None:
    rows = rows_of(
        batch(limit(1, ALICE, "bid", 5, 10), amended(1, 5, 2, quantity=5, closed_reason="expired"))
    )
    record = rows.new[oid(1)].record
    assert (record.price, record.closed_reason, record.updated_at) == (9, "expired", T0 + 1000)
    assert rows.changed == {}


def test_sums_of_a_run_equal_those_of_the_views() -> None:
    rows = rows_of(sweep(), batch(limit(7, ALICE, "bid", 1, 1, symbol="VALE3"), partition=1))
    assert rows.book_sequences == {(0, "PETR4"): 8, (1, "VALE3"): 1}
    assert rows.clocks == {0: T0 + 7000, 1: T0}
    assert {key: (sum_.quantity, sum_.value) for key, sum_ in rows.balances.items()} == {
        (ALICE, "PETR4"): (-100, 100_000),
        (BOB, "PETR4"): (-100, 101_000),
        (CAROL, "PETR4"): (200, -201_000),
    }


def test_sums_of_a_selling_taker_and_of_a_self_trade() -> None:
    made = fill(1, 1, ALICE, 10, 5, 0)
    sold = limit(2, BOB, "ask", 5, None, left=0, closed="filled", fills=(made,))
    (alice, bob) = rows_of(batch(sold)).balances.values()
    assert (alice.quantity, alice.value, bob.quantity, bob.value) == (5, -50, -5, 50)
    own = limit(2, ALICE, "ask", 5, None, left=0, closed="filled", fills=(made,))
    (change,) = rows_of(batch(own)).balances.values()
    assert (change.quantity, change.value) == (0, 0)


def test_array_quotes_its_elements() -> None:
    assert array(["NULL", "BRK.B"]) == '{"NULL","BRK.B"}'
    assert (array([1, -2]), array([])) == ('{"1","-2"}', "{}")


def test_orders_cancelled_together_are_closed_each() -> None:
    orders = tuple(CancelledOrder(oid(number), "PETR4", 5, 3) for number in (1, 2))
    placed = [limit(number, ALICE, "bid", 5, 10) for number in (1, 2)]
    rows = rows_of(batch(*placed, OrdersCancelled(ALICE, "0" * 16, orders)))
    assert [each.record.closed_reason for each in rows.new.values()] == ["cancelled"] * 2
    assert rows.own_events == {(0, ALICE): 4}
    later = rows_of(batch(OrdersCancelled(ALICE, "0" * 16, orders), first=5))
    found = {each: (c.remaining_quantity, c.closed_reason) for each, c in later.changed.items()}
    assert found == {oid(1): (5, "cancelled"), oid(2): (5, "cancelled")}
    assert later.book_sequences == {(0, "PETR4"): 3}
