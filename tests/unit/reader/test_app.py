"""The reader's HTTP calls with a fake archive: answers, faults, and waiting for new orders."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from schemas import ids
from schemas.brokers import Broker
from schemas.orders import OrderRecord, OrderTrade
from schemas.rest import BalanceResource, BookResource, OrderResource, PriceResource
from services.api.app import ProblemError, Request, Response
from services.api.brokers import BrokerDirectory
from services.reader import read_your_writes
from services.reader.app import KEEP_MS, Reader
from services.reader.errors import ArchiveUnavailableError, ViewBehindError
from services.reader.read_your_writes import FRESH_MS, WAIT_S, Waiting
from services.reader.views import Views
from services.runtime.errors import UnavailableError
from tests.support.reader_outcomes import ALICE, BOB, CAROL, T0, batch, limit, oid, sweep

Handler = Callable[[Request], Awaitable[Response]]
LATER = T0 + 100_000


class FakeArchive:
    """Orders and positions as in PostgreSQL; `away` makes every read fail."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderRecord] = {}
        self.every: dict[str, list[OrderTrade]] = {}
        self.stored: dict[int, int] = {}
        self.away = False
        self.reads = 0

    async def order(self, order_id: str) -> OrderRecord | None:
        self.reads += 1
        if self.away:
            raise ArchiveUnavailableError("away")
        return self.orders.get(order_id)

    async def trades(self, order_id: str, before: str | None, limit: int) -> list[OrderTrade]:
        """As the archive's query: newest first, older than `before`."""
        found = [trade for trade in self.every[order_id] if not before or trade.trade_id < before]
        return found[::-1][:limit]

    async def positions(self) -> dict[int, int]:
        if self.away:
            raise ArchiveUnavailableError("away")
        return self.stored


class ReaderBench:
    """A reader with its views and archive, and a clock that the test sets.

    `ends`: end of the command log by partition, 0 if absent; None: Kafka is unreachable.
    """

    def __init__(self) -> None:
        self.views = Views()
        self.archive = FakeArchive()
        self.now = LATER
        self.is_ready = True
        self.ends: dict[int, int] | None = {}
        directory = BrokerDirectory("an admin key that is long")
        self.reader = Reader(
            self.views,
            self.archive,
            directory,
            lambda: self.is_ready,
            self.commands_end,
            lambda: self.now,
        )

    def commands_end(self, partition: int) -> int:
        if self.ends is None:
            raise UnavailableError("away")
        return self.ends.get(partition, 0)

    def request(self, path: str, broker: str = ALICE, **query: str) -> Response:
        return asyncio.run(self.respond(path, broker, **query))

    async def respond(self, path: str, broker: str = ALICE, **query: str) -> Response:
        routes = {call.path: call.handler for call in self.reader.routes()}
        first, *rest = path.strip("/").split("/")
        if first == "balance":
            handler, parameters = routes["/balance"], {}
        elif first == "orders":
            path = "/".join(["/orders/{order_id}", *rest[1:]])
            handler, parameters = routes[path], {"order_id": rest[0]}
        else:
            handler = routes[f"/stocks/{{symbol}}/{rest[1]}"]
            parameters = {"symbol": rest[0]}
        who = Broker(broker, "Named", "0" * 64, T0)
        return await handler(Request(parameters=parameters, query=query, broker=who))

    def refused(self, path: str, broker: str = ALICE, **query: str) -> ProblemError:
        with pytest.raises(ProblemError) as raised:
            self.request(path, broker, **query)
        return raised.value


@pytest.fixture
def bench() -> ReaderBench:
    made = ReaderBench()
    made.reader.apply(sweep())
    return made


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


def test_new_order_is_awaited_and_returned_when_applied(
    bench: ReaderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_your_writes, "WAIT_S", 30)
    bench.now = T0 + 8

    async def request() -> Response:
        pending = asyncio.create_task(bench.respond(f"/orders/{oid(8)}", CAROL))
        await asyncio.sleep(0.05)
        bench.reader.apply(batch(limit(7, BOB, "bid", 1, 10), first=8))
        await asyncio.sleep(0)
        assert not pending.done()
        bench.reader.apply(batch(limit(8, CAROL, "bid", 1, 10), first=9))
        return await asyncio.wait_for(pending, 15)

    assert asyncio.run(request()).status == 200
    assert bench.archive.reads == 0


def test_new_order_that_never_arrives_is_404_in_bounded_time(
    bench: ReaderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_your_writes, "WAIT_S", 0.2)
    bench.now = T0 + 8
    start = time.monotonic()
    assert bench.refused(f"/orders/{oid(8)}").status == 404
    assert 0.2 <= time.monotonic() - start < WAIT_S
    assert bench.archive.reads == 1


@pytest.mark.parametrize("ends", [pytest.param({0: 9}, id="a command more"), None])
def test_order_that_may_still_arrive_is_503_in_bounded_time(
    bench: ReaderBench, ends: dict[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_your_writes, "END_WAIT_S", 0.1)
    bench.ends = ends
    start = time.monotonic()
    problem = bench.refused(f"/orders/{oid(8)}", CAROL)
    assert (problem.status, problem.code) == (503, "not_accepted")
    assert time.monotonic() - start < WAIT_S


def test_order_that_arrives_before_the_end_of_the_log_is_returned(bench: ReaderBench) -> None:
    bench.ends = {0: 10}

    async def request() -> Response:
        pending = asyncio.create_task(bench.respond(f"/orders/{oid(8)}", CAROL))
        await asyncio.sleep(0.05)
        bench.reader.apply(batch(limit(7, BOB, "bid", 1, 10), first=8))
        await asyncio.sleep(0.05)
        assert not pending.done()
        bench.reader.apply(batch(limit(8, CAROL, "bid", 1, 10), first=9))
        return await pending

    assert asyncio.run(request()).status == 200


def test_order_absent_up_to_the_end_of_the_log_is_404(bench: ReaderBench) -> None:
    bench.ends = {0: 9}

    async def request() -> None:
        pending = asyncio.create_task(bench.respond(f"/orders/{oid(99)}", CAROL))
        await asyncio.sleep(0.05)
        bench.reader.apply(batch(limit(7, BOB, "bid", 1, 10), first=8))
        await pending

    with pytest.raises(ProblemError) as raised:
        asyncio.run(request())
    assert raised.value.status == 404


def test_log_end_reads_are_shared_and_never_answered_by_an_earlier_read(
    bench: ReaderBench,
) -> None:
    going, first, stop = threading.Event(), threading.Event(), 9
    requested: list[int] = []

    def end(_: int) -> int:
        requested.append(stop)
        first.set()
        going.wait(5)
        return 8 if len(requested) == 1 else stop

    waiting = Waiting(bench.views, end)

    async def request() -> list[object]:
        looks = [asyncio.create_task(waiting.last_look(oid(8)))]
        await asyncio.to_thread(first.wait, 5)
        looks += [asyncio.create_task(waiting.last_look(oid(8))) for _ in range(3)]
        await asyncio.sleep(0.05)
        going.set()
        return list(await asyncio.gather(*looks, return_exceptions=True))

    first_answer, *later = asyncio.run(request())
    assert first_answer is None
    assert [type(each) for each in later] == [ViewBehindError] * 3
    assert len(requested) == 2


@pytest.mark.parametrize("age_ms", [FRESH_MS + 1, -FRESH_MS - 1])
def test_order_id_of_another_time_is_not_awaited(
    bench: ReaderBench, age_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_your_writes, "WAIT_S", 30)
    bench.now = T0 + 8 + age_ms
    start = time.monotonic()
    assert bench.refused(f"/orders/{oid(8)}").status == 404
    assert time.monotonic() - start < 15


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
