"""The reader's half of the API: orders, prices, books and balances from the views.

The views answer at once; only an order that is too fresh or has left memory takes a moment.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Protocol

from schemas import ids
from schemas.orders import OrderRecord, OrderTrade
from schemas.rest import (
    BalanceResource,
    BookResource,
    OrderResource,
    PriceResource,
    TradesResource,
)
from schemas.units import OrderId, Symbol, TradeId
from services.api.app import (
    ProblemError,
    Request,
    Response,
    Route,
    json_response,
    not_accepted,
)
from services.api.brokers import BrokerDirectory
from services.api.direct import awaited, reply_later
from services.api.messages import UNKNOWN_ORDER_TOKENS, Reply, order_not_found
from services.api.query import count_parameter
from services.reader.errors import (
    ArchiveBehindError,
    ArchiveUnavailableError,
    OrderStateUnknownError,
)
from services.reader.hot_parameters import (
    PAGE_DEFAULT,
    is_text_of,
    page_of,
    page_parameters,
    symbol_and_count,
)
from services.reader.prices import TRADES_MAX
from services.reader.read_your_writes import Waiting
from services.reader.views import POSITIONS_MAX, Views
from services.runtime.clock import now_ms
from services.runtime.kafka.execution_filter import Batch
from services.runtime.metrics import NEXT_COMMAND, ORDERS_IN_MEMORY

TRADES_DEFAULT = 50
DEPTH_DEFAULT = 10
DEPTH_MAX = 50
# As the document shows them, without the guard against a final newline that Python needs.
_UUID_SCHEMA = {"type": "string", "format": "uuid"}
_SYMBOL_SCHEMA = {"type": "string", "pattern": "^[A-Z0-9._-]{1,10}$"}
# How often the stored positions are read from PostgreSQL.
FORGET_INTERVAL_S = 1.0
# Closed orders stay in memory at least this long: their brokers read them now. So a fresh order
# that is not in memory has not been applied yet; it cannot have been dropped already.
KEEP_MS = 10_000
_TRADE_ID = attrgetter("trade_id")


class OrderArchive(Protocol):
    """The reader's queries to PostgreSQL; all raise ArchiveUnavailableError."""

    async def order(self, order_id: str) -> OrderRecord | None:
        """A stored order with its newest trades."""

    async def trades(self, order_id: str, before: str | None, limit: int) -> list[OrderTrade]:
        """Stored trades of an order, newest first; `before`: only those older than this one."""

    async def positions(self) -> dict[int, int]:
        """Per partition the first command that is not stored."""


class Reader:
    """Answers from views. `ready`: they contain everything that the topic held at the start.

    `commands_end`: as for Waiting.
    """

    def __init__(
        self,
        views: Views,
        archive: OrderArchive,
        directory: BrokerDirectory,
        ready: Callable[[], bool],
        commands_end: Callable[[int], int],
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._views = views
        self._archive = archive
        self._directory = directory
        self._ready = ready
        self._clock = clock
        self._commands_end = commands_end
        self._waiting = Waiting(views, commands_end)
        # As last read from PostgreSQL: the first command of each partition that is not stored.
        self._stored: dict[int, int] = {}
        # True if PostgreSQL answered when it was last asked, or was not asked yet.
        self.storage_reachable = True
        self._closed_by = 0
        # The highest such command so far: closed orders before it may have left the views.
        self._forgotten: dict[int, int] = {}

    def restore(self, views: Views) -> None:
        """Continue from these views. Call before the first batch, while no request waits."""
        self._views = views
        self._waiting = Waiting(views, self._commands_end)
        # Views from PostgreSQL begin without the orders that were closed by then.
        self._forgotten = dict(views.next_commands())

    @property
    def views(self) -> Views:
        """The present views, to read on the loop's thread; `restore` replaces them."""
        return self._views

    def apply(self, batch: Batch) -> None:
        """Apply a batch, then wake the requests that wait for its orders. Raises BrokenLogError."""
        self._views.apply(batch)
        self._waiting.on_batch()
        # In each batch: a reader that catches up applies orders that were stored long ago.
        stored = self._stored.get(batch.partition)
        if stored is not None:
            self._views.forget_stored(batch.partition, stored, self._closed_by)

    def stored(self) -> Mapping[int, int]:
        """The first command of each partition that PostgreSQL lacks, as it was last read."""
        return self._stored

    async def stored_positions(self) -> dict[int, int]:
        """The first command of each partition that PostgreSQL lacks. Raises
        ArchiveUnavailableError."""
        return await self._archive.positions()

    def as_of(self, symbol: str) -> int:
        """The time of the symbol's partition, in milliseconds."""
        return self._views.clock(symbol, self._clock())

    async def reach_end(self, partition: int) -> None:
        """Wait until the views have all commands that the log holds now. Raises ViewBehindError."""
        await self._waiting.reach_end(partition)

    def covers(self, positions: Mapping[int, int]) -> bool:
        """True if PostgreSQL at these positions has all that has left the views."""
        return all(positions.get(p, 0) >= command for p, command in self._forgotten.items())

    async def order(self, order_id: str, broker_id: str) -> OrderResource | None:
        """The broker's own order; None when unknown or another's.

        Raises OrderStateUnknownError when PostgreSQL or Kafka is needed and unavailable.
        """
        record = await self._find(order_id)
        if record is None or record.broker_id != broker_id:
            return None
        return record.resource()

    async def trades(
        self, order_id: str, broker_id: str, before: str | None, limit: int
    ) -> list[OrderTrade] | None:
        """Trades of the broker's own order, newest first; None when unknown or another's.

        `before`: only those older than this trade. Raises OrderStateUnknownError.
        """
        record = await self._find(order_id)
        if record is None or record.broker_id != broker_id:
            return None
        trades = record.trades
        # Trade ids begin with the time and the position in the log.
        end = len(trades) if before is None else bisect_left(trades, before, key=_TRADE_ID)
        newest = trades[max(0, end - limit) : end][::-1]
        if len(newest) == limit or not record.older_trades:
            return newest
        await self._require_stored(ids.partition_of(order_id))
        before = newest[-1].trade_id if newest else before
        return newest + await self._archive.trades(order_id, before, limit - len(newest))

    async def _find(self, order_id: str) -> OrderRecord | None:
        if not is_text_of(OrderId, order_id):
            return None
        record = self._views.order(order_id)
        if record is None:
            record = await self._waiting.order(order_id, self._clock())
        if record is None:
            record = await self._archive.order(order_id)
        if record is None:
            record = await self._waiting.last_look(order_id)
        if record is None:
            await self._require_stored(ids.partition_of(order_id))
        return record

    async def _require_stored(self, partition: int | None) -> None:
        """Raises ArchiveBehindError if PostgreSQL lacks orders that it had before.

        It was restored to an earlier moment, or a replica that was behind took over. The sink
        stores the missing outcomes again.
        """
        forgotten = 0 if partition is None else self._forgotten.get(partition, 0)
        if forgotten and (await self._archive.positions()).get(partition or 0, 0) < forgotten:
            raise ArchiveBehindError(f"PostgreSQL is behind command {forgotten} again")

    async def forget_stored(self, interval_s: float = FORGET_INTERVAL_S) -> None:
        """Drop closed orders that PostgreSQL has, until cancelled; none while it is unavailable."""
        while True:
            await asyncio.sleep(interval_s)
            for partition, next_command in self._views.next_commands().items():
                NEXT_COMMAND.labels(partition).set(next_command)
            ORDERS_IN_MEMORY.set(self._views.orders_in_memory())
            try:
                self._stored = stored = await self._archive.positions()
            except ArchiveUnavailableError:
                self._stored = {}
                self.storage_reachable = False
                continue
            self.storage_reachable = True
            self._closed_by = closed_by = self._clock() - KEEP_MS
            for partition, next_command in stored.items():
                self._forgotten[partition] = max(next_command, self._forgotten.get(partition, 0))
                more = True
                while more:
                    more = self._views.forget_stored(partition, next_command, closed_by)
                    await asyncio.sleep(0)

    def _require_ready(self) -> None:
        if not self._ready():
            raise not_accepted("the reader is catching up with the command log's outcomes")

    def ready_views(self) -> Views:
        """The views. Raises ProblemError (503) until they are complete."""
        self._require_ready()
        return self._views

    def get_order(self, request: Request, reply: Reply) -> Response | None:
        """`GET /orders/{order_id}`."""
        self._require_ready()
        record = self._views.order(request.identifier("order_id"))
        if record is not None and record.broker_id == request.broker.broker_id:
            return json_response(200, record.resource())
        reply_later(self._find_order(request), reply)
        return None

    async def _find_order(self, request: Request) -> Response:
        try:
            order = await self.order(request.identifier("order_id"), request.broker.broker_id)
        except OrderStateUnknownError as error:
            raise _unreadable() from error
        if order is None:
            raise order_not_found()
        return json_response(200, order)

    async def get_trades(self, request: Request) -> Response:
        """`GET /orders/{order_id}/trades`."""
        self._require_ready()
        order_id, broker_id = request.identifier("order_id"), request.broker.broker_id
        limit, cursor = page_of(request, TradeId, PAGE_DEFAULT)
        try:
            # One more than requested shows whether another page follows.
            found = await self.trades(order_id, broker_id, cursor, limit + 1)
        except OrderStateUnknownError as error:
            raise _unreadable() from error
        if found is None:
            raise order_not_found()
        page = [trade.resource() for trade in found[:limit]]
        more = len(found) > limit
        return json_response(200, TradesResource(page, page[-1].trade_id if more else None))

    def get_price(self, request: Request, _: Reply) -> Response:
        """`GET /stocks/{symbol}/price`."""
        self._require_ready()
        symbol, trades = symbol_and_count(request, "trades", TRADES_DEFAULT, TRADES_MAX)
        price = self._views.price(symbol, trades, self._clock())
        if price is None:
            raise ProblemError("no_trades", f"{symbol} has not traded yet")
        return json_response(200, price)

    def get_book(self, request: Request, _: Reply) -> Response:
        """`GET /stocks/{symbol}/book`."""
        self._require_ready()
        symbol, depth = symbol_and_count(request, "depth", DEPTH_DEFAULT, DEPTH_MAX)
        return json_response(200, self._views.book(symbol, depth, self._clock()))

    def get_balance(self, request: Request, _: Reply) -> Response:
        """`GET /balance`."""
        self._require_ready()
        broker = request.broker
        name = self._directory.name(broker.broker_id) or broker.name
        limit, cursor = page_of(request, Symbol, POSITIONS_MAX)
        return json_response(200, self._views.balance(broker.broker_id, name, cursor or "", limit))

    def routes(self) -> list[Route]:
        """The hot calls, served by the edge."""
        return [*self._broker_routes(), *self._market_routes()]

    def _broker_routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/orders/{order_id}",
                handler=awaited(self.get_order),
                direct=self.get_order,
                who="broker",
                summary="One of your orders in its present state, with its newest trades",
                answers={200: OrderResource},
                problems=("order_not_found", "not_accepted"),
            ),
            Route(
                method="GET",
                path="/orders/{order_id}/trades",
                handler=self.get_trades,
                who="broker",
                summary="The trades of one of your orders, newest first",
                answers={200: TradesResource},
                problems=("order_not_found", "invalid", "not_accepted"),
                parameters=page_parameters(PAGE_DEFAULT, "Most trades in an answer", _UUID_SCHEMA),
            ),
            Route(
                method="GET",
                path="/balance",
                handler=awaited(self.get_balance),
                direct=self.get_balance,
                who="broker",
                summary="Your cash balance and positions",
                answers={200: BalanceResource},
                problems=("invalid", "not_accepted"),
                parameters=page_parameters(
                    POSITIONS_MAX, "Most positions in an answer", _SYMBOL_SCHEMA
                ),
            ),
        ]

    def _market_routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/stocks/{symbol}/price",
                handler=awaited(self.get_price),
                direct=self.get_price,
                who="broker",
                summary="Last price, and the mean price of the last trades",
                answers={200: PriceResource},
                problems=("no_trades", "invalid", "not_accepted"),
                parameters=(
                    count_parameter("trades", TRADES_DEFAULT, TRADES_MAX, "Trades to average"),
                ),
            ),
            Route(
                method="GET",
                path="/stocks/{symbol}/book",
                handler=awaited(self.get_book),
                direct=self.get_book,
                who="broker",
                summary="The best price levels of both sides",
                answers={200: BookResource},
                problems=("invalid", "not_accepted"),
                parameters=(
                    count_parameter("depth", DEPTH_DEFAULT, DEPTH_MAX, "Levels of each side"),
                ),
            ),
        ]


def _unreadable() -> ProblemError:
    return not_accepted("the order cannot be read now; try again").costing(UNKNOWN_ORDER_TOKENS)
