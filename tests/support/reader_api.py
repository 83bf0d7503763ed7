"""The reader's queries behind the HTTP application, over views and a naive store in memory."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from schemas.brokers import Broker, key_hash
from schemas.codec import encode
from schemas.listings import Listing
from services.api.app import ApiApp
from services.api.brokers import BrokerDirectory
from services.api.framework import make_framework
from services.api.partition_map import PartitionMap
from services.reader.app import Reader
from services.reader.candle_routes import CandleRoutes
from services.reader.fill_routes import FillRoutes
from services.reader.market_routes import MarketRoutes
from services.reader.order_routes import OrderRoutes
from services.reader.stock_trades import StockTrades
from services.reader.ticker_routes import TickerRoutes
from services.reader.views import Views
from tests.support.asgi_driver import AsgiRequest, AsgiResponse, drive
from tests.support.reader_outcomes import ALICE, BOB, CAROL, T0
from tests.support.stored_market import StoredMarket

PARTITIONS = 2
NOW = T0 + 100_000


class ReaderApi:
    """A reader with its application. `now` is its clock; `is_ready` its readiness.

    `ends`: the end of the command log by partition, 0 if absent.
    """

    def __init__(self, brokers: Iterable[str] = (ALICE, BOB, CAROL)) -> None:
        self.views = Views()
        self.stored = archive = StoredMarket()
        self.is_ready = True
        self.ends: dict[int, int] = {}
        self.now = NOW
        directory = BrokerDirectory("an admin key that is long")
        for broker_id in brokers:
            directory.add(Broker(broker_id, "Named", key_hash(broker_id), T0))
        self.reader = Reader(
            self.views,
            archive,
            directory,
            lambda: self.is_ready,
            lambda partition: self.ends.get(partition, 0),
            lambda: self.now,
        )
        self.partition_map = PartitionMap(PARTITIONS)
        self.orders = OrderRoutes(self.reader, self.partition_map, archive)
        routers = [
            MarketRoutes(
                self.reader, self.partition_map, StockTrades(self.reader, archive)
            ).router(),
            self.orders.router(),
            FillRoutes(self.reader, archive).router(),
            CandleRoutes(self.reader, archive).router(),
            TickerRoutes(self.reader).router(),
        ]
        routes = self.reader.routes()
        framework = make_framework("Reader", routes, routers)
        self._app = ApiApp(routes, directory, framework)

    def list_symbol(self, symbol: str, partition: int) -> None:
        """Apply a listing."""
        self.partition_map.apply(symbol.encode(), encode(Listing(symbol, partition, 1)))

    def forget(self) -> None:
        """Drop from memory what is stored, as the reader does once a second."""

        async def once() -> None:
            forgetting = asyncio.create_task(self.reader.forget_stored(interval_s=0))
            for _ in range(20):
                await asyncio.sleep(0)
            forgetting.cancel()

        asyncio.run(once())

    async def request(self, path: str, broker_id: str = ALICE) -> AsgiResponse:
        """Send one GET; return the response."""
        sent = {"Authorization": f"Bearer {broker_id}"}
        answered = await drive(self._app, AsgiRequest("GET", path, sent))
        assert answered is not None
        return answered

    def answer(self, path: str, broker_id: str = ALICE) -> AsgiResponse:
        """As `request`, outside of an event loop."""
        return asyncio.run(self.request(path, broker_id))

    def get(self, path: str, broker_id: str = ALICE) -> Any:
        """The body of an answer, which must be 200."""
        answered = self.answer(path, broker_id)
        assert answered.status == 200, answered.raw
        return answered.body

    def faults(self, path: str) -> list[str]:
        """The pointers of an answer, which must be 422."""
        answered = self.answer(path)
        assert (answered.status, answered.body["code"]) == (422, "invalid"), answered.raw
        return [fault["pointer"] for fault in answered.body["errors"]]

    def pages(
        self,
        path: str,
        name: str,
        broker_id: str = ALICE,
        between: Callable[[], None] = lambda: None,
    ) -> list[Any]:
        """All entries of a list in pages; `between` is called after each page."""
        found: list[Any] = []
        cursor = ""
        while True:
            page = self.get(path + cursor, broker_id)
            found += page[name]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"
            between()
