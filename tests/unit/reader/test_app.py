"""The reader's calls with a fake archive: answers, faults, and forgetting closed orders."""

import asyncio

import msgspec
import pytest

from schemas import ids
from schemas.rest import BalanceResource, BookResource, OrderResource, PriceResource
from services.reader.app import KEEP_MS, Reader
from services.reader.views import Views
from tests.support.reader_bench import ReaderBench, stocked_bench
from tests.support.reader_outcomes import ALICE, BOB, CAROL, T0, oid, sweep


@pytest.fixture
def bench() -> ReaderBench:
    return stocked_bench()


def test_order_of_its_broker_is_returned_with_trades(bench: ReaderBench) -> None:
    answer = bench.request(f"/orders/{oid(2)}", BOB)
    order = msgspec.json.decode(answer.body, type=OrderResource)
    assert answer.status == 200
    assert (order.remaining_quantity, order.status, len(order.trades)) == (100, "open", 1)


@pytest.mark.parametrize(
    "order_id",
    [
        pytest.param(oid(2), id="another broker's"),
        pytest.param(oid(99), id="unknown"),
        pytest.param("nonsense", id="malformed"),
        pytest.param(oid(1) + "\n", id="newline"),
    ],
)
def test_order_of_another_broker_or_unknown_is_404(bench: ReaderBench, order_id: str) -> None:
    problem = bench.refused(f"/orders/{order_id}", ALICE)
    assert (problem.status, problem.code) == (404, "order_not_found")


def test_order_id_in_capitals_is_the_same_id(bench: ReaderBench) -> None:
    plain, capitals = (bench.request(f"/orders/{name}", BOB) for name in (oid(2), oid(2).upper()))
    assert (capitals.status, capitals.body) == (200, plain.body)


def test_malformed_order_id_is_not_looked_up(bench: ReaderBench) -> None:
    bench.refused("/orders/nonsense")
    assert bench.archive.reads == 0


def test_order_no_longer_in_memory_is_read_from_the_archive(bench: ReaderBench) -> None:
    record = bench.views.order(oid(1))
    assert record is not None
    bench.archive.orders[oid(1)] = record
    before = bench.request(f"/orders/{oid(1)}").body
    bench.views.forget_stored(0, 8)
    assert bench.views.order(oid(1)) is None
    assert bench.request(f"/orders/{oid(1)}").body == before
    assert bench.refused(f"/orders/{oid(1)}", BOB).status == 404


def test_order_in_an_unreachable_archive_is_503_with_retry_after(bench: ReaderBench) -> None:
    bench.archive.away = True
    problem = bench.refused(f"/orders/{oid(99)}")
    assert (problem.status, problem.code) == (503, "not_accepted")
    assert dict(problem.headers)["Retry-After"] == "1"
    assert bench.request(f"/orders/{oid(1)}").status == 200


def test_price_averages_the_requested_number_of_trades(bench: ReaderBench) -> None:
    price = msgspec.json.decode(bench.request("/stocks/PETR4/price").body, type=PriceResource)
    assert (price.average_price, price.trades_in_average) == (1005, 2)
    price = msgspec.json.decode(
        bench.request("/stocks/PETR4/price", trades="1").body, type=PriceResource
    )
    assert (price.average_price, price.trades_in_average) == (1010, 1)


def test_price_before_any_trade_is_404_no_trades(bench: ReaderBench) -> None:
    problem = bench.refused("/stocks/VALE3/price")
    assert (problem.status, problem.code) == (404, "no_trades")


def test_book_without_orders_is_empty(bench: ReaderBench) -> None:
    book = msgspec.json.decode(
        bench.request("/stocks/VALE3/book", depth="50").body, type=BookResource
    )
    assert (book.bids, book.asks, book.sequence, book.depth) == ([], [], 0, 50)


@pytest.mark.parametrize(
    "text", ["0", "51", "-1", "+1", "1.5", "ten", "", " 1", "1_0", "٣", "9" * 5000]
)
def test_invalid_depth_is_422_with_its_pointer(bench: ReaderBench, text: str) -> None:
    problem = bench.refused("/stocks/PETR4/book", depth=text)
    assert (problem.status, problem.code) == (422, "invalid")
    assert [fault.pointer for fault in problem.errors or []] == ["/depth"]


def test_all_faults_of_a_market_data_call_are_reported(bench: ReaderBench) -> None:
    problem = bench.refused("/stocks/petr4/price", trades="1001")
    assert [fault.pointer for fault in problem.errors or []] == ["/symbol", "/trades"]


@pytest.mark.parametrize("symbol", ["petr4", "A" * 11, "A\n", "A\0", "Ä", ".", ".."])
def test_invalid_symbol_is_422(bench: ReaderBench, symbol: str) -> None:
    problem = bench.refused(f"/stocks/{symbol}/book")
    assert [fault.pointer for fault in problem.errors or []] == ["/symbol"]


def test_unknown_query_parameter_is_ignored(bench: ReaderBench) -> None:
    assert bench.request("/stocks/PETR4/book", deep="yes").status == 200


def test_balance_contains_the_broker(bench: ReaderBench) -> None:
    balance = msgspec.json.decode(bench.request("/balance", CAROL).body, type=BalanceResource)
    assert (balance.broker_id, balance.broker_name) == (CAROL, "Named")
    assert balance.balance == -201_000


@pytest.mark.parametrize(
    "path", [f"/orders/{oid(1)}", "/stocks/PETR4/price", "/stocks/PETR4/book", "/balance"]
)
def test_every_call_before_the_views_are_complete_is_503(bench: ReaderBench, path: str) -> None:
    bench.is_ready = False
    problem = bench.refused(path)
    assert (problem.status, problem.code) == (503, "not_accepted")
    assert dict(problem.headers)["Retry-After"] == "1"


async def forget_for_a_while(reader: Reader) -> None:
    forgetting = asyncio.create_task(reader.forget_stored(interval_s=0.01))
    await asyncio.sleep(0.1)
    assert not forgetting.done()
    forgetting.cancel()


def test_forgetting_removes_stored_orders_closed_long_enough_ago(bench: ReaderBench) -> None:
    bench.archive.stored = {0: 8}
    bench.now = T0 + 6_000 + KEEP_MS
    asyncio.run(forget_for_a_while(bench.reader))
    assert [number for number in range(1, 7) if bench.views.order(oid(number))] == [2, 5, 6]


def test_forgetting_while_the_archive_is_unreachable_removes_nothing(bench: ReaderBench) -> None:
    bench.archive.stored = {0: 8}
    bench.archive.away = True
    asyncio.run(forget_for_a_while(bench.reader))
    assert bench.views.orders_in_memory() == 6


def test_catching_up_with_stored_outcomes_keeps_open_orders_only() -> None:
    fresh = ReaderBench()
    fresh.archive.stored = {0: 8}
    asyncio.run(forget_for_a_while(fresh.reader))
    fresh.reader.apply(sweep())
    assert [number for number in range(1, 7) if fresh.views.order(oid(number))] == [2, 6]


def test_catching_up_while_the_archive_is_unreachable_keeps_everything() -> None:
    fresh = ReaderBench()
    fresh.archive.stored = {0: 8}
    asyncio.run(forget_for_a_while(fresh.reader))
    fresh.archive.away = True
    asyncio.run(forget_for_a_while(fresh.reader))
    fresh.reader.apply(sweep())
    assert fresh.views.orders_in_memory() == 6


def test_order_id_of_a_nonexistent_partition_is_404(bench: ReaderBench) -> None:
    assert bench.refused(f"/orders/{ids.order_id(T0, 4095, 1)}").status == 404


def test_order_missing_from_an_archive_that_went_back_is_undecided(bench: ReaderBench) -> None:
    # PostgreSQL had the outcomes of all eight commands, and their closed orders were dropped.
    bench.archive.stored = {0: 8}
    bench.now = T0 + 6_000 + KEEP_MS
    asyncio.run(forget_for_a_while(bench.reader))
    assert bench.refused(f"/orders/{oid(1)}").status == 404
    # It is restored to an earlier moment, or another log's database takes its place.
    for stored in ({0: 5}, {}):
        bench.archive.stored = stored
        assert bench.refused(f"/orders/{oid(1)}").status == 503
        asyncio.run(forget_for_a_while(bench.reader))
        assert bench.refused(f"/orders/{oid(1)}").status == 503
    bench.archive.stored = {0: 8}
    assert bench.refused(f"/orders/{oid(1)}").status == 404


def test_reader_restored_from_an_archive_that_went_back_is_undecided() -> None:
    restored = ReaderBench()
    views = Views()
    views.apply(sweep())
    views.forget_stored(0, 8)
    restored.reader.restore(views)
    restored.archive.stored = {0: 5}
    assert restored.refused(f"/orders/{oid(1)}").status == 503
