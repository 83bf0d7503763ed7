"""Lists in a real PostgreSQL, filled by the sink, against their naive form."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from schemas.candles import INTERVALS_MS, Candle
from schemas.units import TIMESTAMP_MS_MAX
from services.reader.archive import Archive
from services.reader.list_archive import CandleSpan, ListArchive
from services.reader.overlay import Span
from services.runtime.kafka.execution_filter import FilterPosition
from services.runtime.kafka.topic_identity import LogIdentity
from services.sink.migrate import migrate
from services.sink.rows import Rows
from services.sink.store import Move, Store
from tests.support.market import PROFILE, batches, outcomes
from tests.support.servers import DatabaseServer
from tests.support.stored_market import StoredMarket

OWN_LOG = LogIdentity("cluster", "exchange.executions.v1", "topic-id")
SEED = 11
PARTITIONS = (0, 1)


@pytest.fixture(scope="module")
def naive() -> StoredMarket:
    market = StoredMarket()
    for partition in PARTITIONS:
        for batch in batches(partition, list(outcomes(partition, SEED, PROFILE))):
            market.store(batch)
    return market


@pytest.fixture(scope="module")
def database(postgres: DatabaseServer) -> str:
    """The URL of a database that the sink has filled."""
    url = postgres.create_database("lists")
    migrate(url)
    store = Store(url)
    store.bind(OWN_LOG)
    store.positions(len(PARTITIONS))
    for partition in PARTITIONS:
        for batch in batches(partition, list(outcomes(partition, SEED, PROFILE)), size=500):
            rows = Rows()
            rows.add(batch)
            end = batch.first_command + len(batch.outcomes)
            store.write(rows, {partition: Move(batch.first_command, FilterPosition(end, 0, end))})
    store.close()
    return url


def with_archive(
    url: str, check: Callable[[ListArchive], Awaitable[None]], identity: LogIdentity = OWN_LOG
) -> None:
    async def run() -> None:
        archive = Archive(url, identity)
        await archive.open()
        try:
            await check(ListArchive(archive))
        finally:
            await archive.close()

    asyncio.run(run())


def spans(keys: list[str]) -> list[Span]:
    """Spans between random keys, and without bounds."""
    drawn = random.Random(SEED)
    found = [Span(None, None, newest_first, 20) for newest_first in (True, False)]
    for _ in range(40):
        low, high = sorted(drawn.choices(keys, k=2))
        ends = (low, high), (None, high), (low, None)
        after, before = drawn.choice(ends)
        found.append(Span(after, before, drawn.random() < 0.5, drawn.choice([1, 7, 500])))
    return found


def test_fills_of_a_broker_equal_the_naive_list(database: str, naive: StoredMarket) -> None:
    async def check(archive: ListArchive) -> None:
        for broker_id, fills in naive.fills_by_broker.items():
            orders = [None, fills[0].order_id, fills[-1].order_id]
            for span in spans([fill.fill_id for fill in fills]):
                for order_id in orders:
                    wanted = await naive.fills(broker_id, order_id, span)
                    assert await archive.fills(broker_id, order_id, span) == wanted

    assert len(naive.fills_by_broker) > 3
    with_archive(database, check)


def test_orders_of_a_broker_equal_the_naive_list(database: str, naive: StoredMarket) -> None:
    async def check(archive: ListArchive) -> None:
        for broker_id in naive.fills_by_broker:
            own = [each for each in naive.records.values() if each.broker_id == broker_id]
            names = [None, "no order has it", own[0].client_order_id, own[-1].client_order_id]
            for span in spans([order.order_id for order in own]):
                for name in names:
                    wanted = await naive.orders(broker_id, name, span)
                    assert await archive.orders(broker_id, name, span) == wanted

    with_archive(database, check)


def test_trades_of_a_symbol_equal_the_naive_list(database: str, naive: StoredMarket) -> None:
    async def check(archive: ListArchive) -> None:
        for (partition, symbol), trades in naive.trades_by_symbol.items():
            for low, high in ((1, 10), (5, 5), (len(trades), len(trades) + 9), (1, len(trades))):
                wanted = trades[low - 1 : high]
                assert await archive.stock_trades(partition, symbol, low, high) == wanted
                assert await archive.stock_trades(1 - partition, symbol, low, high) == []

    with_archive(database, check)


def test_candles_of_a_symbol_equal_the_naive_list(database: str, naive: StoredMarket) -> None:
    async def check(archive: ListArchive) -> None:
        for partition, symbol in naive.trades_by_symbol:
            for interval in INTERVALS_MS:
                every = naive.every_candle(partition, symbol, interval)
                for newest in (True, False):
                    whole = CandleSpan(0, TIMESTAMP_MS_MAX, newest, 500)
                    part = CandleSpan(every[0].start, every[-1].start, newest, 2)
                    for span in (whole, part):
                        found = await archive.candles(partition, symbol, interval, span)
                        wanted = await naive.candles(partition, symbol, interval, span)
                        assert span.of(sorted(found.candles, key=start_of)) == wanted.candles

    with_archive(database, check)


def start_of(candle: Candle) -> int:
    return candle.start


def test_database_of_another_log_has_no_trades_and_no_positions(
    database: str, naive: StoredMarket
) -> None:
    async def check(archive: ListArchive) -> None:
        (partition, symbol), *_ = naive.trades_by_symbol
        assert await archive.stock_trades(partition, symbol, 1, 10) == []
        broker_id = next(iter(naive.fills_by_broker))
        assert (await archive.fills(broker_id, None, Span(None, None, True, 9))).positions == {}

    with_archive(database, check, LogIdentity("cluster", "exchange.executions.v1", "another"))
