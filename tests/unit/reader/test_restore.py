"""Views restored at a position of the command log equal views that applied everything before it."""

import pytest
from msgspec import structs

from loadgen.workload.orderflow import Profile
from schemas.candles import INTERVALS_MS
from schemas.orders import OrderTrade
from services.reader.views import Views
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.execution_filter import Batch
from tests.support.market import batches, outcomes
from tests.support.reader_outcomes import ALICE, T0, batch, cancelled, limit, oid
from tests.support.view_comparison import (
    answers,
    known_brokers,
    known_symbols,
    open_orders,
    state,
)

BUSY = Profile(duration_s=8, symbols=3, brokers=4, cancel_age_ms_mean=500)


def restored(applied: Views) -> Views:
    """New views restored with the rows that a database would have of these."""
    views = Views()
    for partition, command in applied.next_commands().items():
        views.restore_partition(partition, command, applied._clocks[partition])
    for symbol, book in applied._books.items():
        views.restore_symbol(symbol, applied._partitions[symbol], book.sequence)
        held = applied.instruments.get(symbol)
        if held is not None:
            views.instruments.restore(symbol, held)
    for record in open_orders(applied).values():
        views.restore_order(structs.replace(record, trades=[]))
        for trade in record.trades:
            views.restore_trade(record.order_id, trade)
    for symbol, prices in applied._prices._prices.items():
        views.restore_prices(symbol, prices, applied._prices._sequences[symbol])
    restore_candles(views, applied)
    for broker, positions in applied._balances._positions.items():
        cash = applied._balances._cash[broker]
        for symbol, quantity in positions.items():
            views.restore_balance(broker, symbol, quantity, cash)
            cash = 0
    for (broker, partition), number in applied.own_events.all_numbers().items():
        views.own_events.restore(broker, partition, number)
    return views


def restore_candles(views: Views, applied: Views) -> None:
    for partition, candles in applied.candles._partitions.items():
        for symbol in candles.symbols:
            for interval in INTERVALS_MS:
                held = applied.candles.held(partition, symbol, interval)
                newest = structs.replace(held[-1])
                views.candles.restore(partition, symbol, interval, newest)


def applied(each: list[Batch]) -> Views:
    views = Views()
    for one in each:
        views.apply(one)
    return views


@pytest.mark.parametrize("cut", [0, 1, 300, 1_500])
def test_restored_views_continue_like_views_that_applied_everything(cut: int) -> None:
    market = list(outcomes(0, 5, BUSY))
    whole = applied(batches(0, market[:cut]) if cut else [])
    views = restored(whole)
    while whole.forget_stored(0, cut):
        pass
    assert state(views) == state(whole)
    for each in batches(0, market[cut:], cut):
        whole.apply(each)
        views.apply(each)
    assert state(views) == state(whole)
    symbols, brokers = known_symbols(whole), known_brokers(whole)
    assert answers(views, symbols, brokers) == answers(whole, symbols, brokers)


def test_symbol_on_two_partitions_is_one_book_of_the_first() -> None:
    views = Views()
    views.restore_partition(0, 1, T0)
    views.restore_partition(1, 1, T0 + 500)
    views.restore_symbol("PETR4", 0, 3)
    views.restore_symbol("PETR4", 1, 8)
    views.apply(batch(limit(1, ALICE, "bid", 5, 10, book=9), first=1, partition=1))
    assert known_symbols(views) == {"PETR4"}
    assert views._partitions == {"PETR4": 0}


def resting() -> Views:
    return applied([batch(limit(1, ALICE, "bid", 5, 10))])


def test_order_of_an_unknown_symbol_is_not_restored() -> None:
    views, record = Views(), open_orders(resting())[oid(1)]
    with pytest.raises(BrokenLogError, match="cannot rest"):
        views.restore_order(record)


def test_order_that_is_closed_is_not_restored() -> None:
    views = resting()
    record = structs.replace(open_orders(views)[oid(1)], order_id=oid(2), closed_reason="filled")
    with pytest.raises(BrokenLogError, match="cannot rest"):
        views.restore_order(record)


def test_order_without_a_price_is_not_restored() -> None:
    views = resting()
    record = structs.replace(open_orders(views)[oid(1)], order_id=oid(2), price=None)
    with pytest.raises(BrokenLogError, match="cannot rest"):
        views.restore_order(record)


def test_order_is_not_restored_twice() -> None:
    views = resting()
    with pytest.raises(BrokenLogError, match="twice"):
        views.restore_order(open_orders(views)[oid(1)])


def test_trade_of_an_order_that_is_not_open_is_not_restored() -> None:
    views = resting()
    views.apply(batch(cancelled(1, ALICE, 5, 2), first=1))
    for order_id in (oid(1), oid(2)):
        with pytest.raises(BrokenLogError, match="to be open"):
            views.restore_trade(order_id, OrderTrade("t", 1, 1, ALICE, T0))
