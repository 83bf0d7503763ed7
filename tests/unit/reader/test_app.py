"""The reader's calls with an archive of our own: answers, faults, and waiting for fresh orders."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from schemas import ids
from schemas.brokers import Broker
from schemas.orders import OrderRecord
from schemas.rest import BalanceResource, BookResource, OrderResource, PriceResource
from services.api.app import ProblemError, Request, Response
from services.api.brokers import BrokerDirectory
from services.reader.app import KEEP_MS, Reader
from services.reader.errors import ArchiveUnavailableError, ViewBehindError
from services.reader.read_your_writes import END_WAIT_S, FRESH_MS, WAIT_S, Waiting
from services.reader.views import Views
from services.runtime.errors import UnavailableError
from tests.support.reader_outcomes import ALICE, BOB, CAROL, T0, batch, limit, oid, sweep

Handler = Callable[[Request], Awaitable[Response]]
LATER = T0 + 100_000


class FakeArchive:
    """What PostgreSQL has; `away` makes it refuse."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderRecord] = {}
        self.stored: dict[int, int] = {}
        self.away = False
        self.asked = 0

    async def order(self, order_id: str) -> OrderRecord | None:
        self.asked += 1
        if self.away:
            raise ArchiveUnavailableError("away")
        return self.orders.get(order_id)

    async def positions(self) -> dict[int, int]:
        if self.away:
            raise ArchiveUnavailableError("away")
        return self.stored


class Desk:
    """A reader, its views and archive, and a clock that stands where it is put.

    `ends`: where the command log ends by partition, 0 where nothing is said; None: Kafka is away.
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

    def ask(self, path: str, broker: str = ALICE, **query: str) -> Response:
        return asyncio.run(self.asked(path, broker, **query))

    async def asked(self, path: str, broker: str = ALICE, **query: str) -> Response:
        routes = {call.path: call.handler for call in self.reader.routes()}
        first, *rest = path.strip("/").split("/")
        if first == "balance":
            handler, parameters = routes["/balance"], {}
        elif first == "orders":
            handler, parameters = routes["/orders/{order_id}"], {"order_id": rest[0]}
        else:
            handler = routes[f"/stocks/{{symbol}}/{rest[1]}"]
            parameters = {"symbol": rest[0]}
        who = Broker(broker, "Named", "0" * 64, T0)
        return await handler(Request(parameters=parameters, query=query, broker=who))

    def refused(self, path: str, broker: str = ALICE, **query: str) -> ProblemError:
        with pytest.raises(ProblemError) as raised:
            self.ask(path, broker, **query)
        return raised.value


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.reader.apply(sweep())
    return made


def test_order_of_its_broker_is_told_with_trades(desk: Desk) -> None:
    answer = desk.ask(f"/orders/{oid(2)}", BOB)
    order = msgspec.json.decode(answer.body, type=OrderResource)
    assert answer.status == 200
    assert (order.remaining_quantity, order.status, len(order.trades)) == (100, "open", 1)


@pytest.mark.parametrize(
    "order_id",
    [
        pytest.param(oid(2), id="another broker's"),
        pytest.param(oid(99), id="unknown"),
        pytest.param("nonsense", id="malformed"),
        pytest.param(oid(1).upper(), id="upper case"),
        pytest.param(oid(1) + "\n", id="newline"),
    ],
)
def test_order_that_is_not_the_brokers_is_not_found(desk: Desk, order_id: str) -> None:
    problem = desk.refused(f"/orders/{order_id}", ALICE)
    assert (problem.status, problem.code) == (404, "order_not_found")


def test_malformed_order_id_is_never_looked_up(desk: Desk) -> None:
    desk.refused("/orders/nonsense")
    assert desk.archive.asked == 0


def test_order_that_left_memory_comes_from_the_archive(desk: Desk) -> None:
    record = desk.views.order(oid(1))
    assert record is not None
    desk.archive.orders[oid(1)] = record
    before = desk.ask(f"/orders/{oid(1)}").body
    desk.views.forget_stored(0, 8)
    assert desk.views.order(oid(1)) is None
    assert desk.ask(f"/orders/{oid(1)}").body == before
    assert desk.refused(f"/orders/{oid(1)}", BOB).status == 404


def test_order_needing_an_archive_that_is_away_is_503_with_retry_after(desk: Desk) -> None:
    desk.archive.away = True
    problem = desk.refused(f"/orders/{oid(99)}")
    assert (problem.status, problem.code) == (503, "not_accepted")
    assert dict(problem.headers)["Retry-After"] == "1"
    assert desk.ask(f"/orders/{oid(1)}").status == 200


def test_fresh_order_is_waited_for_and_told_when_it_is_folded(desk: Desk) -> None:
    desk.now = T0 + 8

    async def ask() -> tuple[Response, float]:
        start = time.monotonic()
        asking = asyncio.create_task(desk.asked(f"/orders/{oid(8)}", CAROL))
        await asyncio.sleep(0.05)
        desk.reader.apply(batch(limit(7, BOB, "bid", 1, 10), first=8))
        await asyncio.sleep(0)
        assert not asking.done()
        desk.reader.apply(batch(limit(8, CAROL, "bid", 1, 10), first=9))
        return await asking, time.monotonic() - start

    answer, seconds = asyncio.run(ask())
    assert answer.status == 200
    assert seconds < WAIT_S / 2
    assert desk.archive.asked == 0


def test_fresh_order_that_never_comes_is_not_found_in_bounded_time(desk: Desk) -> None:
    desk.now = T0 + 8
    start = time.monotonic()
    assert desk.refused(f"/orders/{oid(8)}").status == 404
    assert WAIT_S * 0.9 < time.monotonic() - start < WAIT_S + 0.5
    assert desk.archive.asked == 1


@pytest.mark.parametrize("ends", [pytest.param({0: 9}, id="a command more"), None])
def test_order_that_may_be_on_its_way_is_503_in_bounded_time(
    desk: Desk, ends: dict[int, int] | None
) -> None:
    desk.ends = ends
    start = time.monotonic()
    problem = desk.refused(f"/orders/{oid(8)}", CAROL)
    assert (problem.status, problem.code) == (503, "not_accepted")
    assert time.monotonic() - start < END_WAIT_S + 0.5


def test_order_that_comes_while_the_end_is_waited_for_is_told(desk: Desk) -> None:
    desk.ends = {0: 10}

    async def ask() -> Response:
        asking = asyncio.create_task(desk.asked(f"/orders/{oid(8)}", CAROL))
        await asyncio.sleep(0.05)
        desk.reader.apply(batch(limit(7, BOB, "bid", 1, 10), first=8))
        await asyncio.sleep(0.05)
        assert not asking.done()
        desk.reader.apply(batch(limit(8, CAROL, "bid", 1, 10), first=9))
        return await asking

    assert asyncio.run(ask()).status == 200


def test_order_that_is_not_among_the_commands_on_their_way_is_not_found(desk: Desk) -> None:
    desk.ends = {0: 9}

    async def ask() -> None:
        asking = asyncio.create_task(desk.asked(f"/orders/{oid(99)}", CAROL))
        await asyncio.sleep(0.05)
        desk.reader.apply(batch(limit(7, BOB, "bid", 1, 10), first=8))
        await asking

    with pytest.raises(ProblemError) as raised:
        asyncio.run(ask())
    assert raised.value.status == 404


def test_questions_for_the_end_are_shared_and_none_is_answered_by_an_earlier_one(
    desk: Desk,
) -> None:
    going, first, stop = threading.Event(), threading.Event(), 9
    asked: list[int] = []

    def end(_: int) -> int:
        asked.append(stop)
        first.set()
        going.wait(5)
        return 8 if len(asked) == 1 else stop

    waiting = Waiting(desk.views, end)

    async def ask() -> list[object]:
        looks = [asyncio.create_task(waiting.last_look(oid(8)))]
        await asyncio.to_thread(first.wait, 5)
        looks += [asyncio.create_task(waiting.last_look(oid(8))) for _ in range(3)]
        await asyncio.sleep(0.05)
        going.set()
        return list(await asyncio.gather(*looks, return_exceptions=True))

    told, *later = asyncio.run(ask())
    assert told is None
    assert [type(each) for each in later] == [ViewBehindError] * 3
    assert len(asked) == 2


@pytest.mark.parametrize("age_ms", [FRESH_MS + 1, -FRESH_MS - 1])
def test_order_id_of_another_time_is_not_waited_for(desk: Desk, age_ms: int) -> None:
    desk.now = T0 + 8 + age_ms
    start = time.monotonic()
    assert desk.refused(f"/orders/{oid(8)}").status == 404
    assert time.monotonic() - start < WAIT_S / 2


def test_price_averages_as_asked(desk: Desk) -> None:
    price = msgspec.json.decode(desk.ask("/stocks/PETR4/price").body, type=PriceResource)
    assert (price.average_price, price.trades_in_average) == (1005, 2)
    price = msgspec.json.decode(
        desk.ask("/stocks/PETR4/price", trades="1").body, type=PriceResource
    )
    assert (price.average_price, price.trades_in_average) == (1010, 1)


def test_price_before_any_trade_is_no_trades(desk: Desk) -> None:
    problem = desk.refused("/stocks/VALE3/price")
    assert (problem.status, problem.code) == (404, "no_trades")


def test_book_nobody_touched_is_empty(desk: Desk) -> None:
    book = msgspec.json.decode(desk.ask("/stocks/VALE3/book", depth="50").body, type=BookResource)
    assert (book.bids, book.asks, book.sequence, book.depth) == ([], [], 0, 50)


@pytest.mark.parametrize(
    "text", ["0", "51", "-1", "+1", "1.5", "ten", "", " 1", "1_0", "٣", "9" * 5000]
)
def test_bad_depth_is_invalid_with_its_pointer(desk: Desk, text: str) -> None:
    problem = desk.refused("/stocks/PETR4/book", depth=text)
    assert (problem.status, problem.code) == (422, "invalid")
    assert [fault.pointer for fault in problem.errors or []] == ["/depth"]


def test_every_fault_of_a_market_data_call_is_told(desk: Desk) -> None:
    problem = desk.refused("/stocks/petr4/price", trades="1001")
    assert [fault.pointer for fault in problem.errors or []] == ["/symbol", "/trades"]


@pytest.mark.parametrize("symbol", ["petr4", "A" * 11, "A\n", "A\0", "Ä"])
def test_bad_symbol_is_invalid(desk: Desk, symbol: str) -> None:
    problem = desk.refused(f"/stocks/{symbol}/book")
    assert [fault.pointer for fault in problem.errors or []] == ["/symbol"]


def test_unknown_query_parameter_is_ignored(desk: Desk) -> None:
    assert desk.ask("/stocks/PETR4/book", deep="yes").status == 200


def test_balance_names_the_broker(desk: Desk) -> None:
    balance = msgspec.json.decode(desk.ask("/balance", CAROL).body, type=BalanceResource)
    assert (balance.broker_id, balance.broker_name) == (CAROL, "Named")
    assert balance.balance == -201_000


@pytest.mark.parametrize(
    "path", [f"/orders/{oid(1)}", "/stocks/PETR4/price", "/stocks/PETR4/book", "/balance"]
)
def test_every_call_before_the_views_are_complete_is_503(desk: Desk, path: str) -> None:
    desk.is_ready = False
    problem = desk.refused(path)
    assert (problem.status, problem.code) == (503, "not_accepted")
    assert dict(problem.headers)["Retry-After"] == "1"


async def forget_for_a_while(reader: Reader) -> None:
    forgetting = asyncio.create_task(reader.forget_stored(interval_s=0.01))
    await asyncio.sleep(0.1)
    assert not forgetting.done()
    forgetting.cancel()


def test_forgetting_takes_what_is_stored_and_closed_a_while_ago(desk: Desk) -> None:
    desk.archive.stored = {0: 8}
    desk.now = T0 + 6_000 + KEEP_MS
    asyncio.run(forget_for_a_while(desk.reader))
    assert [number for number in range(1, 7) if desk.views.order(oid(number))] == [2, 5, 6]


def test_forgetting_while_the_archive_is_away_takes_nothing(desk: Desk) -> None:
    desk.archive.stored = {0: 8}
    desk.archive.away = True
    asyncio.run(forget_for_a_while(desk.reader))
    assert desk.views.orders_in_memory() == 6


def test_catching_up_with_what_is_stored_holds_open_orders_only() -> None:
    fresh = Desk()
    fresh.archive.stored = {0: 8}
    asyncio.run(forget_for_a_while(fresh.reader))
    fresh.reader.apply(sweep())
    assert [number for number in range(1, 7) if fresh.views.order(oid(number))] == [2, 6]


def test_catching_up_while_the_archive_is_away_forgets_nothing() -> None:
    fresh = Desk()
    fresh.archive.stored = {0: 8}
    asyncio.run(forget_for_a_while(fresh.reader))
    fresh.archive.away = True
    asyncio.run(forget_for_a_while(fresh.reader))
    fresh.reader.apply(sweep())
    assert fresh.views.orders_in_memory() == 6


def test_order_id_made_up_for_another_partition_is_not_found(desk: Desk) -> None:
    assert desk.refused(f"/orders/{ids.order_id(T0, 4095, 1)}").status == 404
