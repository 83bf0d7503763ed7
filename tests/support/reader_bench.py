"""A reader with a fake archive and a clock that the test sets, called without HTTP."""

import asyncio

import pytest

from schemas.brokers import Broker
from schemas.orders import OrderRecord, OrderTrade
from services.api.app import ProblemError, Request, Response
from services.api.brokers import BrokerDirectory
from services.reader.app import Reader
from services.reader.errors import ArchiveUnavailableError
from services.reader.views import Views
from services.runtime.errors import UnavailableError
from tests.support.reader_outcomes import ALICE, T0, sweep

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


def stocked_bench() -> ReaderBench:
    """A bench whose views contain the orders of `sweep`."""
    made = ReaderBench()
    made.reader.apply(sweep())
    return made
