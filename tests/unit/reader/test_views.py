"""Views after outcomes written by hand."""

import pytest

from schemas.executions import OrderRepeated, Ticked
from schemas.rest import BalanceResource, LevelResource, PositionResource
from schemas.units import rfc3339
from services.reader.orders import FORGET_MAX
from services.reader.prices import TRADES_MAX
from services.reader.views import Views
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.execution_filter import Batch
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

NOW = T0 + 1_000_000


def views_of(*batches: Batch) -> Views:
    views = Views()
    for each in batches:
        views.apply(each)
    return views


def test_book_after_sweep_shows_totals_and_counts_best_first() -> None:
    views = views_of(
        batch(
            limit(1, ALICE, "bid", 10, 990, book=1),
            limit(2, BOB, "bid", 20, 995, book=2),
            limit(3, CAROL, "bid", 30, 995, book=3),
            limit(4, ALICE, "ask", 5, 1005, book=4),
            limit(5, ALICE, "ask", 6, 1001, book=5),
            limit(
                6,
                BOB,
                "bid",
                8,
                1005,
                left=0,
                closed="filled",
                fills=(fill(1, 5, ALICE, 1001, 6, 0), fill(2, 4, ALICE, 1005, 2, 3)),
                book=6,
            ),
        )
    )
    book = views.book("PETR4", 10, NOW)
    assert book.bids == [LevelResource(995, 50, 2), LevelResource(990, 10, 1)]
    assert book.asks == [LevelResource(1005, 3, 1)]
    assert (book.sequence, book.depth, book.as_of) == (6, 10, rfc3339(T0 + 5000))
    assert views.book("PETR4", 1, NOW).bids == [LevelResource(995, 50, 2)]


def test_book_after_cancel_and_expiry_keeps_what_is_left() -> None:
    views = views_of(sweep())
    book = views.book("PETR4", 10, NOW)
    assert book.bids == [LevelResource(980, 10, 1)]
    assert book.asks == [LevelResource(1010, 100, 1)]
    assert book.sequence == 8


def test_book_sequence_follows_cancels_and_expiries() -> None:
    views = views_of(batch(limit(1, ALICE, "bid", 5, 10), limit(2, ALICE, "bid", 5, 11, book=2)))
    views.apply(batch(cancelled(1, ALICE, 5, 3), first=2))
    assert views.book("PETR4", 1, NOW).sequence == 3
    views.apply(batch((Ticked(), (expired(2, ALICE, 5, 4),)), first=3))
    assert views.book("PETR4", 1, NOW).sequence == 4


def test_orders_after_sweep_have_their_final_state() -> None:
    views = views_of(sweep())
    rows = []
    for number in range(1, 7):
        record = views.order(oid(number))
        assert record is not None
        rows.append(
            (
                record.remaining_quantity,
                record.filled_value,
                record.closed_reason,
                record.updated_at - T0,
                [(trade.price, trade.quantity) for trade in record.trades],
            )
        )
    assert rows == [
        (0, 100_000, "filled", 2000, [(1000, 100)]),
        (100, 101_000, None, 2000, [(1010, 100)]),
        (0, 201_000, "filled", 2000, [(1000, 100), (1010, 100)]),
        (50, 0, "cancelled", 6000, []),
        (70, 0, "expired", 7000, []),
        (10, 0, None, 7000, []),
    ]


def test_balance_after_sweep_sums_to_zero() -> None:
    views = views_of(sweep())
    balances = [views.balance(broker, "name") for broker in (ALICE, BOB, CAROL)]
    assert [balance.balance for balance in balances] == [100_000, 101_000, -201_000]
    assert [balance.positions for balance in balances] == [
        [PositionResource("PETR4", -100)],
        [PositionResource("PETR4", -100)],
        [PositionResource("PETR4", 200)],
    ]


def test_balance_after_trade_with_oneself_is_zero_without_position() -> None:
    taken = limit(
        2,
        ALICE,
        "ask",
        5,
        None,
        left=0,
        closed="filled",
        fills=(fill(1, 1, ALICE, 10, 5, 0),),
        book=2,
    )
    views = views_of(batch(limit(1, ALICE, "bid", 5, 10), taken))
    assert views.balance(ALICE, "Alice") == BalanceResource(ALICE, "Alice", 0, [])


def test_price_after_trades_averages_the_last_ones_rounded() -> None:
    views = views_of(sweep())
    both = views.price("PETR4", 50, NOW)
    last = views.price("PETR4", 1, NOW)
    assert both is not None
    assert last is not None
    assert (both.last_price, both.average_price, both.trades_in_average) == (1010, 1005, 2)
    assert (last.average_price, last.trades_in_average, last.sequence) == (1010, 1, 2)


def test_price_after_many_trades_keeps_the_newest_thousand() -> None:
    makers = [limit(1, ALICE, "ask", 10_000, 7)]
    takers = [
        limit(
            number,
            BOB,
            "bid",
            1,
            None,
            left=0,
            closed="filled",
            fills=(fill(number - 1, 1, ALICE, 7, 1, 10_001 - number),),
            book=number,
        )
        for number in range(2, TRADES_MAX + 12)
    ]
    price = views_of(batch(*makers, *takers)).price("PETR4", 5_000, NOW)
    assert price is not None
    assert (price.trades_in_average, price.sequence) == (TRADES_MAX, TRADES_MAX + 10)


def test_price_before_any_trade_is_absent() -> None:
    assert views_of(batch(limit(1, ALICE, "bid", 5, 10))).price("PETR4", 5, NOW) is None


def test_market_order_without_liquidity_never_rests() -> None:
    views = views_of(batch(limit(1, ALICE, "bid", 5, None, closed="no_liquidity", book=0)))
    assert views.book("PETR4", 10, NOW).bids == []
    record = views.order(oid(1))
    assert record is not None
    assert record.closed_reason == "no_liquidity"


def test_book_of_an_unknown_symbol_is_empty_at_the_newest_clock() -> None:
    assert views_of().book("VALE3", 5, NOW).as_of == rfc3339(NOW)
    views = views_of(
        batch(Ticked(), Ticked(), Ticked()),
        batch(limit(1, ALICE, "bid", 5, 10, symbol="ITUB4", order_id=oid(1, 1)), partition=1),
    )
    untouched = views.book("VALE3", 5, NOW)
    assert (untouched.bids, untouched.asks, untouched.sequence) == ([], [], 0)
    assert untouched.as_of == rfc3339(T0 + 2000)
    assert views.book("ITUB4", 5, NOW).as_of == rfc3339(T0)


def test_events_without_effect_change_nothing_but_the_clock() -> None:
    repeated = OrderRepeated(oid(9), ALICE, oid(1))
    views = views_of(batch(limit(1, ALICE, "bid", 5, 10), repeated, refused(), Ticked()))
    assert views.orders_in_memory() == 1
    assert views.next_commands() == {0: 4}
    assert views.book("PETR4", 1, NOW).as_of == rfc3339(T0 + 3000)


def test_forget_stored_removes_closed_orders_below_the_position_only() -> None:
    views = views_of(sweep())
    kept = []
    for position in range(9):
        views.forget_stored(0, position)
        kept.append([number for number in range(1, 7) if views.order(oid(number))])
    everything = [1, 2, 3, 4, 5, 6]
    assert kept[:3] == [everything] * 3
    assert kept[3:7] == [[2, 4, 5, 6]] * 4
    assert kept[7:] == [[2, 5, 6], [2, 6]]
    assert views.book("PETR4", 5, NOW).asks == [LevelResource(1010, 100, 1)]


def test_forget_stored_keeps_orders_closed_recently() -> None:
    views = views_of(sweep())
    views.forget_stored(0, 8, T0 + 6000)
    assert [number for number in range(1, 7) if views.order(oid(number))] == [2, 5, 6]


def test_forget_stored_ahead_of_the_views_or_of_an_unknown_partition_removes_no_more() -> None:
    views = views_of(batch(limit(1, ALICE, "bid", 5, 10), cancelled(1, ALICE, 5, 2)))
    views.forget_stored(3, 10)
    views.forget_stored(0, 1_000_000)
    assert views.orders_in_memory() == 0
    views.apply(batch(limit(2, ALICE, "bid", 5, None, closed="no_liquidity"), first=2))
    assert views.orders_in_memory() == 1


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(limit(1, ALICE, "bid", 5, 10), id="order accepted twice"),
        pytest.param(cancelled(2, ALICE, 5, 2), id="cancel of an unknown order"),
        pytest.param(cancelled(1, ALICE, 4, 2), id="cancel with another quantity"),
        pytest.param(limit(2, BOB, "ask", 5, None, book=2), id="market order that rests"),
        pytest.param(
            limit(2, BOB, "ask", 5, None, fills=(fill(1, 7, ALICE, 10, 5, 0),)), id="unknown maker"
        ),
        pytest.param(
            limit(2, BOB, "ask", 6, None, fills=(fill(1, 1, ALICE, 10, 6, 0),)), id="overfilled"
        ),
        pytest.param(
            limit(2, BOB, "ask", 5, None, fills=(fill(1, 1, ALICE, 11, 5, 0),)), id="no such level"
        ),
        pytest.param(
            limit(2, BOB, "ask", 5, None, fills=(fill(1, 1, ALICE, 10, 5, 1),)), id="level left"
        ),
    ],
)
def test_apply_of_contradicting_outcomes_raises(second: object) -> None:
    views = views_of(batch(limit(1, ALICE, "bid", 5, 10)))
    with pytest.raises(BrokenLogError):
        views.apply(batch(second, first=1))  # type: ignore[arg-type]


def test_apply_of_a_fill_with_a_closed_maker_raises() -> None:
    views = views_of(batch(limit(1, ALICE, "bid", 5, 10), cancelled(1, ALICE, 5, 2)))
    with pytest.raises(BrokenLogError, match="closed"):
        views.apply(batch(cancelled(1, ALICE, 5, 3), first=2))


def test_forget_stored_of_very_many_orders_runs_in_bounded_steps() -> None:
    orders = [
        limit(number, ALICE, "bid", 1, None, closed="no_liquidity") for number in range(3_000)
    ]
    views = views_of(batch(*orders))
    assert views.forget_stored(0, 3_000)
    assert views.orders_in_memory() == 3_000 - FORGET_MAX
    assert not views.forget_stored(0, 3_000)
    assert views.orders_in_memory() == 0


def test_open_orders_and_symbols_are_counted_whether_closed_ones_are_forgotten_or_not() -> None:
    views = views_of(
        batch(
            limit(1, ALICE, "bid", 10, 990, book=1),
            limit(2, BOB, "bid", 20, 995, book=2),
            cancelled(1, ALICE, 10, book=3),
        )
    )
    assert (views.open_orders(), views.orders_in_memory(), views.symbols()) == (1, 2, 1)
    views.forget_stored(0, 3)
    assert (views.open_orders(), views.orders_in_memory(), views.symbols()) == (1, 1, 1)
